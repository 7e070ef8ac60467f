import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Config } from '../src/base/config.ts'
import { ConfigError, readConfig, SETTINGS, settingsInForce } from '../src/config.ts'

const folder = mkdtempSync(join(tmpdir(), 'bramley-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
function fileWith(text: string): string {
  const file = join(folder, `file-${++files}`)
  writeFileSync(file, text)
  return file
}

type Env = Record<string, string>
/** Without a settings file, whatever lies in the developer's folder. */
const read = (env: Env = {}, flags: Env = {}): Config => readConfig({ BRAMLEY_CONFIG: '/dev/null', ...env }, flags)

/** The complaints about these settings, one each. */
function complaints(env: Env, flags: Env = {}): string[] {
  try {
    read(env, flags)
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n')
    throw error
  }
  return []
}

describe('where a setting comes from', () => {
  const file = { BRAMLEY_CONFIG: fileWith('organization: from the file\npush_rate: 7\n') }
  const env = { BRAMLEY_ORGANIZATION: 'from the environment' }
  const flags = { BRAMLEY_ORGANIZATION: 'from a flag' }

  it.each([
    ['a flag first', { ...file, ...env }, flags, 'from a flag'],
    ['then the environment', { ...file, ...env }, {}, 'from the environment'],
    ['then the file', file, {}, 'from the file'],
    ['then the default', {}, {}, 'Bramley'],
  ])('%s', (_order, given, byFlag, expected) => {
    expect(read(given, byFlag).organization).toBe(expected)
  })

  it('decides for each setting by itself', () => {
    expect(read({ ...file, ...env }, flags)).toMatchObject({ organization: 'from a flag', pushRate: 7, databasePool: 16 })
  })

  it('lets the flag --config name another file than the environment', () => {
    const other = fileWith('organization: another file')
    expect(read(file, { BRAMLEY_CONFIG: other }).organization).toBe('another file')
  })

  it('needs nothing at all: the defaults are a server for this machine', () => {
    const config = read()
    expect(config).toMatchObject({
      publicUrl: new URL('https://localhost:8443'), publicUrlSet: false, tls: 'self', databaseUrl: undefined, simulator: 'auto',
      listen: { host: '', port: 8443 }, httpListen: { host: '127.0.0.1', port: 8080 }, adminListen: undefined,
      dataFolder: resolve('data'), secretKeyFile: resolve('data/secret.key'), trustedProxies: [], apns: { port: 443, ca: undefined },
    })
    expect(Object.isFrozen(config)).toBe(true)
  })

  it('hands what is in force on as text, which is read as the same settings', () => {
    const env = { BRAMLEY_CONFIG: fileWith('workers: 3\norganization: from a file\n'), BRAMLEY_DATABASE_URL_FILE: fileWith('postgres://u:p@h/d\n') }
    const texts = settingsInForce(env, { BRAMLEY_LISTEN: ':1234' })
    expect(texts).toMatchObject({ BRAMLEY_ORGANIZATION: 'from a file', BRAMLEY_DATABASE_URL: 'postgres://u:p@h/d', BRAMLEY_LISTEN: ':1234', BRAMLEY_TLS: 'self' })
    expect(readConfig({}, texts)).toEqual(readConfig(env, { BRAMLEY_LISTEN: ':1234' }))
  })

  it('finds out how many workers this machine can use, and that one is enough', () => {
    expect(read().workers).toBe(1)
    expect(read({ BRAMLEY_WORKERS: 'auto' }).workers).toBe(Math.min(availableParallelism(), 4))
  })

  it('reads numbers, booleans in words and an empty file of YAML as they are meant', () => {
    expect(read({ BRAMLEY_CONFIG: fileWith('database_pool: 20\ntls: off\nsimulator: 0\n') }))
      .toMatchObject({ databasePool: 20, tls: 'off', simulator: 'off' })
    expect(read({ BRAMLEY_CONFIG: fileWith('# organization: nobody\n') }).organization).toBe('Bramley')
  })
})

describe('what is wrong', () => {
  it('is told all at once, one line each', () => {
    const told = complaints({
      BRAMLEY_PUBLC_URL: 'x', BRAMLEY_PUBLIC_URL: 'http://mdm.example.com/path', BRAMLEY_TLS: 'yes', BRAMLEY_LISTEN: '8443',
      BRAMLEY_HTTP_LISTEN: '0.0.0.0:8080', BRAMLEY_DATABASE_POOL: '1', BRAMLEY_DATABASE_URL: 'mysql://u:SECRET@h/d',
      BRAMLEY_APNS_CA: join(folder, 'absent.pem'), BRAMLEY_CONFIG: fileWith('organisation: x'),
    })
    const names = told.map((line) => line.replace(/^\S+: (?=BRAMLEY)/, '').split(':')[0])
    expect(names.toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([
      'BRAMLEY_APNS_CA', 'BRAMLEY_DATABASE_POOL', 'BRAMLEY_DATABASE_URL', 'BRAMLEY_HTTP_LISTEN', 'BRAMLEY_LISTEN',
      'BRAMLEY_ORGANISATION', 'BRAMLEY_PUBLC_URL', 'BRAMLEY_PUBLIC_URL', 'BRAMLEY_PUBLIC_URL', 'BRAMLEY_TLS',
    ])
    expect(told.join()).not.toContain('SECRET')
  })

  it('includes names that nobody knows, with the one that was meant', () => {
    expect(complaints({ BRAMLEY_PUBLICURL: 'https://mdm.example.com' })).toEqual(['BRAMLEY_PUBLICURL: unknown setting; did you mean BRAMLEY_PUBLIC_URL?'])
    expect(complaints({ BRAMLEY_SOMETHING_ELSE_ENTIRELY: '1' })).toEqual(['BRAMLEY_SOMETHING_ELSE_ENTIRELY: unknown setting'])
    const file = fileWith('publicurl: https://mdm.example.com')
    expect(complaints({ BRAMLEY_CONFIG: file })).toEqual([`${file}: BRAMLEY_PUBLICURL: unknown setting; did you mean BRAMLEY_PUBLIC_URL?`])
  })

  it('leaves the settings of the client and the variables of others alone', () => {
    expect(complaints({ BRAMLEY_URL: 'https://x', BRAMLEY_TOKEN: 'x', BRAMLEY_TOKEN_FILE: '/x', BRAM: 'x', PATH: '/bin' })).toEqual([])
  })

  it.each([
    ['that is not there', '/nothing/here.yaml'],
    ['that is no YAML', fileWith('a: [')],
    ['that is a list', fileWith('- a')],
    ['with a value of many', fileWith('trusted_proxies: [10.0.0.0/8]')],
  ])('includes a settings file %s', (_what, file) => {
    expect(complaints({ BRAMLEY_CONFIG: file })[0]).toContain(`BRAMLEY_CONFIG: cannot use ${file}`)
  })

  it.each([
    ['BRAMLEY_TLS', ['self', 'off'], ['on', 'SELF', 'acme', '']],
    ['BRAMLEY_WORKERS', ['1', '2', '64', 'auto'], ['0', '-1', '65', '1.5', 'all', '']],
    ['BRAMLEY_CLIENT_CERT_HEADER', ['Client-Cert', 'X-Amzn-Mtls-Clientcert'], ['', 'X Header', 'X_Client_Cert', 'a:b']],
    ['BRAMLEY_DOORS', ['all'], ['', 'none', 'device']],
    ['BRAMLEY_DEVICE_AUTH', ['signature', 'mtls'], ['', 'none', 'header']],
    ['BRAMLEY_MIGRATE', ['auto', 'manual'], ['', 'never']],
    ['BRAMLEY_SIMULATOR', ['auto', '0', '1'], ['true', '']],
    ['BRAMLEY_LOG_LEVEL', ['debug', 'error'], ['trace', '']],
    ['BRAMLEY_DATABASE_POOL', ['2', '100'], ['1', '101', '2.5', 'many', '']],
    ['BRAMLEY_PUSH_RATE', ['1', '10000'], ['0', '-1', '10001', '']],
    ['BRAMLEY_APNS_PORT', ['443', '2197'], ['0', '65536', 'https', '']],
    ['BRAMLEY_ORGANIZATION', ['Ä'], ['', 'x'.repeat(101)]],
    ['BRAMLEY_LISTEN', [':0', '[::1]:1', 'localhost:65535'], ['', '8443', 'localhost', '127.0.0.1:65536', '::1:1', 'a b:1', '127.0.0.1:x']],
    ['BRAMLEY_ADMIN_LISTEN', ['', '10.0.0.1:8444'], ['8444']],
    ['BRAMLEY_METRICS_LISTEN', ['', '127.0.0.1:9090'], ['9090']],
    ['BRAMLEY_DATABASE_URL', ['', 'postgres://h/d', 'postgresql://u:p@h:5432/d?host=%2Frun'], ['mysql://h/d', 'h:5432', 'postgres://h:x/d']],
    ['BRAMLEY_TRUSTED_PROXIES',
      ['', '10.0.0.0/8', '10.0.0.1, 192.0.2.0/24 ,', 'fd00::/8,::1', '0.0.0.0/0'],
      ['proxy.example.com', '10.0.0.0/33', '10.0.0/8', '10.0.0.0/', '10.0.0.0/8/8', 'fd00::/129', 'abc', '999.0.0.1', 'fe80::1%eth0', '10.0.0.1 10.0.0.2']],
  ])('includes values that %s cannot have', (name, good, bad) => {
    expect(good.filter((value) => complaints({ [name]: value }).length > 0)).toEqual([])
    expect(bad.filter((value) => !complaints({ [name]: value })[0]?.startsWith(`${name}: `))).toEqual([])
  })

  it('reads the CIDRs of the proxies one by one', () => {
    expect(read({ BRAMLEY_TRUSTED_PROXIES: '10.0.0.1, fd00::/8 ,' }).trustedProxies).toEqual(['10.0.0.1', 'fd00::/8'])
  })
})

describe('a secret', () => {
  const url = 'postgres://u:SECRET@h/d'

  it('may come from a file, without its last line break', () => {
    expect(read({ BRAMLEY_DATABASE_URL_FILE: fileWith(`${url}\n`) }).databaseUrl).toBe(url)
  })

  it('may come from a file that the settings file names', () => {
    expect(read({ BRAMLEY_CONFIG: fileWith(`database_url_file: ${fileWith(url)}`) }).databaseUrl).toBe(url)
  })

  it('in the environment wins over one in the settings file, however either is given', () => {
    const other = 'postgres://h/other'
    const file = { BRAMLEY_CONFIG: fileWith(`database_url: ${other}`) }
    expect(read({ ...file, BRAMLEY_DATABASE_URL_FILE: fileWith(url) }).databaseUrl).toBe(url)
    const indirect = { BRAMLEY_CONFIG: fileWith(`database_url_file: ${fileWith(other)}`) }
    expect(read({ ...indirect, BRAMLEY_DATABASE_URL: url }).databaseUrl).toBe(url)
  })

  it('cannot be given twice in one place', () => {
    const told = complaints({ BRAMLEY_DATABASE_URL: url, BRAMLEY_DATABASE_URL_FILE: fileWith(url) })
    expect(told).toEqual(['BRAMLEY_DATABASE_URL: given twice, also as BRAMLEY_DATABASE_URL_FILE'])
  })

  it('that cannot be read, or was never filled in, is not taken for the default', () => {
    expect(complaints({ BRAMLEY_DATABASE_URL_FILE: '/nothing' })).toEqual(['BRAMLEY_DATABASE_URL_FILE: cannot read /nothing'])
    const empty = fileWith(' \n')
    expect(complaints({ BRAMLEY_DATABASE_URL_FILE: empty })).toEqual([`BRAMLEY_DATABASE_URL_FILE: ${empty} is empty`])
  })

  it('is the only kind of setting that has a _FILE', () => {
    expect(SETTINGS.filter((setting) => setting.secret).map(({ name }) => name)).toEqual(['BRAMLEY_DATABASE_URL', 'BRAMLEY_WEBHOOK_URL', 'BRAMLEY_WEBHOOK_HMAC_KEY'])
    expect(complaints({ BRAMLEY_ORGANIZATION_FILE: fileWith('x') })).toEqual(['BRAMLEY_ORGANIZATION_FILE: unknown setting; did you mean BRAMLEY_ORGANIZATION?'])
  })
})

describe('between phone and server everything is TLS', () => {
  const HTTPS = 'BRAMLEY_PUBLIC_URL: must begin with https:// (phones accept nothing else); http:// is for localhost only'
  const BARE = 'BRAMLEY_PUBLIC_URL: must be a bare address such as https://mdm.example.com, without path, query or user'

  it.each([
    'https://mdm.example.com', 'https://mdm.example.com:8443/', 'https://MDM.example.com', 'https://[fd00::1]', 'https://192.0.2.1',
    'http://localhost:8080', 'http://127.0.0.1:8080', 'http://127.1.2.3', 'http://[::1]:8080',
  ])('takes %s for a public URL', (url) => {
    expect(read({ BRAMLEY_PUBLIC_URL: url })).toMatchObject({ publicUrl: new URL(url), publicUrlSet: true })
  })

  it.each([
    ['http://mdm.example.com', [HTTPS]], ['http://192.0.2.1', [HTTPS]], ['http://localhost.example.com', [HTTPS]], ['http://0.0.0.0', [HTTPS]],
    ['ftp://localhost', [HTTPS]], ['https://mdm.example.com/mdm', [BARE]], ['https://mdm.example.com/?a=1', [BARE]], ['https://mdm.example.com?', [BARE]],
    ['https://mdm.example.com/#top', [BARE]], ['https://user@mdm.example.com', [BARE]], ['https://:password@mdm.example.com', [BARE]],
    ['http://mdm.example.com/x', [HTTPS, BARE]], ['mdm.example.com', ['BRAMLEY_PUBLIC_URL: is not a URL']],
    ['mdm.example.com:8443', [HTTPS, BARE]], ['javascript:alert(1)', [HTTPS, BARE]],
  ])('does not take %s', (url, expected) => {
    expect(complaints({ BRAMLEY_PUBLIC_URL: url })).toEqual(expected)
  })

  it('takes the same for a check-in address', () => {
    expect(read({ BRAMLEY_CHECKIN_URL: 'https://checkin.example.com' })).toMatchObject({ checkinUrl: new URL('https://checkin.example.com'), doors: 'all' })
    expect(read().checkinUrl).toBeUndefined()
    expect(complaints({ BRAMLEY_CHECKIN_URL: 'http://checkin.example.com/x' })).toEqual([HTTPS, BARE].map((text) => text.replace('PUBLIC', 'CHECKIN')))
  })

  it('opens plain HTTP on loopback only', () => {
    const elsewhere = (address: string) => [`BRAMLEY_HTTP_LISTEN: ${address} is not on this machine's loopback; plain HTTP is for localhost only`]
    for (const address of ['0.0.0.0:8080', ':8080', '[::]:8080', '192.0.2.1:8080']) expect(complaints({ BRAMLEY_HTTP_LISTEN: address })).toEqual(elsewhere(address))
    for (const address of ['', 'localhost:8080', '127.0.0.1:8080', '[::1]:8080']) expect(complaints({ BRAMLEY_HTTP_LISTEN: address })).toEqual([])
  })

  it('opens no second plain listener with BRAMLEY_TLS=off', () => {
    expect(read({ BRAMLEY_TLS: 'off', BRAMLEY_HTTP_LISTEN: '0.0.0.0:8080' })).toMatchObject({ httpListen: undefined, publicUrl: new URL('http://localhost:8443') })
  })

  it('takes no way of proving a device that can never work here', () => {
    const nobody = 'BRAMLEY_DEVICE_AUTH: proxy-header believes only BRAMLEY_TRUSTED_PROXIES, and there is none'
    expect(read({ BRAMLEY_DEVICE_AUTH: 'mtls' })).toMatchObject({ deviceAuth: 'mtls', clientCertHeader: 'Client-Cert' })
    expect(complaints({ BRAMLEY_DEVICE_AUTH: 'mtls', BRAMLEY_TLS: 'off' })).toEqual([expect.stringMatching(/^BRAMLEY_DEVICE_AUTH: mtls needs TLS on our own listener/)])
    expect(complaints({ BRAMLEY_DEVICE_AUTH: 'proxy-header' })).toEqual([nobody])
    expect(complaints({ BRAMLEY_DEVICE_AUTH: 'proxy-header', BRAMLEY_TRUSTED_PROXIES: ' ' })).toEqual([nobody])
    expect(complaints({ BRAMLEY_DEVICE_AUTH: 'proxy-header', BRAMLEY_TRUSTED_PROXIES: '10.0.0.1', BRAMLEY_TLS: 'off' })).toEqual([])
  })

  it('wants both files of a TLS pair, and only where they are read', () => {
    const files = { BRAMLEY_TLS_CERT: 'c.pem', BRAMLEY_TLS_KEY: 'k.pem' }
    expect(read({ BRAMLEY_TLS: 'files', ...files }).tlsFiles).toEqual({ cert: 'c.pem', key: 'k.pem' })
    expect(complaints({ BRAMLEY_TLS: 'files', BRAMLEY_TLS_CERT: 'c.pem' })).toEqual(['BRAMLEY_TLS_KEY: is needed with BRAMLEY_TLS=files'])
    expect(complaints(files)).toEqual(['BRAMLEY_TLS_CERT: is read with BRAMLEY_TLS=files only', 'BRAMLEY_TLS_KEY: is read with BRAMLEY_TLS=files only'])
  })

  it('wants CAs in BRAMLEY_EXTRA_DEVICE_CAS', () => {
    expect(read().extraDeviceCas).toEqual([])
    expect(complaints({ BRAMLEY_EXTRA_DEVICE_CAS: '/nothing.pem' })).toEqual(['BRAMLEY_EXTRA_DEVICE_CAS: cannot read /nothing.pem'])
    expect(complaints({ BRAMLEY_EXTRA_DEVICE_CAS: fileWith('x') })).toEqual(['BRAMLEY_EXTRA_DEVICE_CAS: holds no readable PEM certificates'])
  })

  it('trusts one more CA for the push service when told to', () => {
    expect(read({ BRAMLEY_APNS_CA: fileWith('the CA') }).apns.ca).toBe('the CA')
    expect(complaints({ BRAMLEY_APNS_CA: '/nothing.pem' })).toEqual(['BRAMLEY_APNS_CA: cannot read /nothing.pem'])
  })
})

describe('what NanoMDM has settings for', () => {
  it('is off, or Apple’s, by default', () => {
    const apple = { url: new URL('https://deviceservices-external.apple.com/deviceservicesworkers/escrowKeyUnlock'), ca: undefined }
    expect(read()).toMatchObject({ webhook: undefined, escrowUnlock: apple, migrationWindowMs: 30 * 86_400_000, networkUsers: 'decline' })
  })

  it('reads the webhook’s address and key, also from files, and shows neither when one is wrong', () => {
    const files = { BRAMLEY_WEBHOOK_URL_FILE: fileWith('http://nanocmd:9003/webhook\n'), BRAMLEY_WEBHOOK_HMAC_KEY_FILE: fileWith('k\n') }
    expect(read(files).webhook).toEqual({ url: new URL('http://nanocmd:9003/webhook'), hmacKey: 'k' })
    expect(read({ BRAMLEY_WEBHOOK_URL: 'https://example.com/hook' }).webhook?.hmacKey).toBeUndefined()
    for (const url of ['ftp://user:secret@example.com', 'user:secret@example.com', 'hook']) {
      expect(complaints({ BRAMLEY_WEBHOOK_URL: url })).toEqual(['BRAMLEY_WEBHOOK_URL: must be a URL that begins with https:// or http://'])
    }
    expect(complaints({ BRAMLEY_WEBHOOK_HMAC_KEY: 'secret' })).toEqual(['BRAMLEY_WEBHOOK_HMAC_KEY: is read with BRAMLEY_WEBHOOK_URL only'])
  })

  it('shows the push certificate to nobody without TLS', () => {
    expect(complaints({ BRAMLEY_ESCROW_UNLOCK_URL: 'http://127.0.0.1/x' })).toEqual(['BRAMLEY_ESCROW_UNLOCK_URL: must be a URL that begins with https://'])
    expect(complaints({ BRAMLEY_ESCROW_UNLOCK_CA: '/nothing.pem' })).toEqual(['BRAMLEY_ESCROW_UNLOCK_CA: cannot read /nothing.pem'])
  })

  it('takes a window such as 12h', () => {
    expect(read({ BRAMLEY_MIGRATION_WINDOW: '12h' }).migrationWindowMs).toBe(43_200_000)
    expect(complaints({ BRAMLEY_MIGRATION_WINDOW: 'soon' })).toEqual(['BRAMLEY_MIGRATION_WINDOW: must look like 90s, 15m, 72h or 7d'])
  })
})

describe('a process for check-in messages only', () => {
  const needed = { BRAMLEY_DOORS: 'checkin', BRAMLEY_CHECKIN_URL: 'https://checkin.example.com', BRAMLEY_DATABASE_URL: 'postgres://h/d' }

  it('needs an address and the database of the others', () => {
    expect(read(needed)).toMatchObject({ doors: 'checkin', checkinUrl: new URL('https://checkin.example.com') })
    expect(complaints({ BRAMLEY_DOORS: 'checkin' })).toEqual([
      'BRAMLEY_CHECKIN_URL: is needed with BRAMLEY_DOORS=checkin: the address that this process answers at',
      'BRAMLEY_DATABASE_URL: is needed with BRAMLEY_DOORS=checkin: the database of the process with the other doors',
    ])
    const { BRAMLEY_DATABASE_URL: url, ...others } = needed
    expect(complaints({ ...others, BRAMLEY_DATABASE_URL_FILE: fileWith(url) })).toEqual([])
  })

  it.each([
    ['BRAMLEY_ADMIN_LISTEN', '127.0.0.1:8444', 'BRAMLEY_ADMIN_LISTEN: has no door with BRAMLEY_DOORS=checkin'],
    ['BRAMLEY_SIMULATOR', '1', 'BRAMLEY_SIMULATOR: 1 has no door with BRAMLEY_DOORS=checkin; set it on the process with the other doors'],
    ['BRAMLEY_PUBLIC_URL', 'https://CHECKIN.example.com:443/', 'BRAMLEY_CHECKIN_URL: is BRAMLEY_PUBLIC_URL again; leave it empty, check-in messages go there anyway'],
  ])('has no use for %s %s', (name, value, complaint) => {
    expect(complaints({ ...needed, [name]: value })).toEqual([complaint])
  })
})
