/**
 * What a property list can hold. Whole numbers that a double cannot hold exactly are `bigint`; `<real>` is a plain
 * number when read, and only written as `<real>` for a whole number when wrapped in `PlistReal`.
 */
export type PlistValue = string | number | bigint | boolean | Date | Buffer | PlistReal | PlistValue[] | PlistDict

/** A dict. Those this server makes have no prototype, so `constructor` or `toString` are keys like any other. */
export interface PlistDict {
  [key: string]: PlistValue
}

/** A number that is written as `<real>` even when it is whole. Devices refuse an integer where Apple says real. */
export class PlistReal {
  readonly real: number

  constructor(real: number) {
    this.real = real
  }
}

/** True for a dict, false for everything else a property list can hold. */
export function isPlistDict(value: PlistValue | undefined): value is PlistDict {
  return typeof value === 'object' && !Array.isArray(value) &&
    !(value instanceof Uint8Array) && !(value instanceof Date) && !(value instanceof PlistReal)
}

/**
 * An empty dict without a prototype. Made this way V8 still gives equal dicts one hidden class; `Object.create(null)`
 * makes each a hash table, with four times the memory and half the speed for whoever walks over it later.
 */
export function newPlistDict(): PlistDict {
  const dict: PlistDict = {}
  Object.setPrototypeOf(dict, null)
  return dict
}
