/** Apple's platform of a product identifier (`iPhone17,3`, `Mac15,6`), or null when the prefix is unknown. */
export function platformOf(product: string | undefined): string | null {
  if (product === undefined) return null
  const family = /^([A-Za-z]+?)\d/.exec(product)?.[1] ?? ''
  return PLATFORMS[family] ?? (family.startsWith('Mac') || family === 'iMac' || family === 'VirtualMac' ? 'macos' : null)
}

const PLATFORMS: Record<string, string> = {
  iPhone: 'ios', iPod: 'ios', iPad: 'ipados', AppleTV: 'tvos', Watch: 'watchos', RealityDevice: 'visionos', AudioAccessory: 'audioos',
}
