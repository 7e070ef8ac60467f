import type { AttemptId, CommandId, DeviceId, EnrollmentId, KeyId, LinkId, PushCertificateId } from './ids.ts'

/**
 * Everything that can happen, as one union; written to `events` in the transaction of the change it reports. Data are ids,
 * names and states, never secrets.
 */
export type Event =
  | { type: 'device.enrolling'; device: DeviceId; enrollment: EnrollmentId; attempt: AttemptId | null }
  | { type: 'device.enrolled'; device: DeviceId; enrollment: EnrollmentId }
  | { type: 'device.token_updated'; device: DeviceId; enrollment: EnrollmentId }
  | { type: 'device.unenrolled'; device: DeviceId; enrollment: EnrollmentId; reason: EndReason }
  | { type: 'device.identity_renewed'; device: DeviceId; enrollment: EnrollmentId; sha256: string }
  | { type: 'device.renewal_opened'; device: DeviceId; enrollment: EnrollmentId }
  | { type: 'device.bootstrap_token_set'; device: DeviceId; enrollment: EnrollmentId }
  | { type: 'device.bootstrap_token_removed'; device: DeviceId; enrollment: EnrollmentId }
  | { type: 'device.unreachable'; device: DeviceId; enrollment: EnrollmentId; reason: string }
  | { type: 'device.updated'; device: DeviceId; learned: string[] }
  | { type: 'enrollment.imported'; device: DeviceId; enrollment: EnrollmentId }
  | { type: 'enrollment.held'; device: DeviceId; enrollment: EnrollmentId; attempt: AttemptId | null }
  | { type: 'enrollment.approved'; device: DeviceId; enrollment: EnrollmentId }
  | { type: 'enrollment.rejected'; device: DeviceId; enrollment: EnrollmentId }
  | { type: 'enrollment_link.created'; link: LinkId }
  | { type: 'enrollment_link.revoked'; link: LinkId }
  | { type: 'enrollment_link.used'; link: LinkId; attempt: AttemptId }
  | { type: 'certificate.issued'; attempt: AttemptId | null; serial_number: string; purpose: 'enrollment' | 'renewal'; enrollment?: EnrollmentId }
  | { type: 'certificate.adopted'; device: DeviceId; enrollment: EnrollmentId; serial_number: string; issuer: string; sha256: string }
  | { type: 'certificate.revoked'; serial_number: string; reason: string }
  | { type: 'command.queued'; device: DeviceId; command: CommandId; request_type: string; forced: boolean }
  | { type: 'command.delivered'; device: DeviceId; command: CommandId }
  | { type: 'command.not_now'; device: DeviceId; command: CommandId; count: number }
  | { type: 'command.acknowledged'; device: DeviceId; command: CommandId; request_type: string }
  | { type: 'command.failed'; device: DeviceId; command: CommandId; request_type: string; state: 'error' | 'format_error' }
  | { type: 'command.cancelled'; device: DeviceId; command: CommandId }
  | { type: 'command.expired'; device: DeviceId; command: CommandId }
  | { type: 'command.superseded'; device: DeviceId; command: CommandId; reason: string }
  | { type: 'push_certificate.uploaded'; push_certificate: PushCertificateId; topic: string }
  | { type: 'push_certificate.deleted'; push_certificate: PushCertificateId; topic: string }
  | { type: 'push.topic_broken'; topic: string; reason: string }
  | { type: 'activation_lock.unlock_requested'; serial_number: string; topic: string }
  | { type: 'api_key.created'; api_key: KeyId; scopes: string[] }
  | { type: 'api_key.revoked'; api_key: KeyId }

export type EventType = Event['type']

/** Why an enrollment ended. */
export type EndReason = 'checked_out' | 're-enrolled' | 'removed' | 'erased'
