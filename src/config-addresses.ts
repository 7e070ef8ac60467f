import { isLoopbackHost } from './base/listen-address.ts'

/** Everything between phone and server is TLS; only this machine may do without. Empty text is no complaint. */
export function addressComplaints(text: string): string[] {
  if (text === '') return []
  if (!URL.canParse(text)) return ['is not a URL']
  const url = new URL(text)
  const complaints: string[] = []
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    complaints.push('must begin with https:// (phones accept nothing else); http:// is for localhost only')
  }
  if (url.href !== `${url.protocol}//${url.host}/`) {
    complaints.push('must be a bare address such as https://mdm.example.com, without path, query or user')
  }
  return complaints
}

/** One line for each setting that makes no sense beside a check-in address of its own, or beside a process that serves only it. */
export function checkinComplaints(values: Record<string, string>): string[] {
  const { BRAMLEY_CHECKIN_URL: checkin = '', BRAMLEY_PUBLIC_URL: publicUrl = '', BRAMLEY_DOORS: doors } = values
  const complaints: string[] = []
  if (sameOrigin(checkin, publicUrl)) complaints.push('BRAMLEY_CHECKIN_URL: is BRAMLEY_PUBLIC_URL again; leave it empty, check-in messages go there anyway')
  if (doors !== 'checkin') return complaints
  if (checkin === '') complaints.push('BRAMLEY_CHECKIN_URL: is needed with BRAMLEY_DOORS=checkin: the address that this process answers at')
  if (values['BRAMLEY_DATABASE_URL'] === '') complaints.push('BRAMLEY_DATABASE_URL: is needed with BRAMLEY_DOORS=checkin: the database of the process with the other doors')
  if (values['BRAMLEY_ADMIN_LISTEN'] !== '') complaints.push('BRAMLEY_ADMIN_LISTEN: has no door with BRAMLEY_DOORS=checkin')
  if (values['BRAMLEY_SIMULATOR'] === '1') complaints.push('BRAMLEY_SIMULATOR: 1 has no door with BRAMLEY_DOORS=checkin; set it on the process with the other doors')
  return complaints
}

function sameOrigin(one: string, other: string): boolean {
  return URL.canParse(one) && URL.canParse(other) && new URL(one).origin === new URL(other).origin
}
