interface PackageLock {
  packages: Record<string, { version?: string; optional?: boolean }>
}

export function isNodeNewEnough(version: string): boolean
export function installStamp(lockText: string, platform?: string): string
export function isInstalled(lock: PackageLock, installed: PackageLock): boolean
export function buildStamp(root: string): string
export function filesUnder(folder: string): string[]
export function readIfThere(file: string): string | undefined
