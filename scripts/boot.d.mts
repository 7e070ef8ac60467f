export interface BootOptions {
  root?: string
  say?: (line: string) => void
  quiet?: boolean
}

export function boot(options?: BootOptions): Promise<void>
export function bootOrExit(options?: BootOptions): Promise<void>
