-- The foundation. Forward-only; nothing newer than PostgreSQL 15. The prose of the tables is here; Drizzle's view of them is
-- in src/**/tables.ts, and a guard test keeps the two equal.
--
-- Three rules shape the device tables:
--   1. The enrollment row is the device's mutex: check-in, poll and enqueue take it first, `for update`, ids ascending.
--   2. `commands` holds open commands only; an ended one moves to `command_results`, which is append-only. So a poll costs the
--      same whether a device has finished none or a thousand commands.
--   3. The enrollment id leads every hot key.

-- What processes must agree on (and an administrator may change at run time).
create table settings (
  key text primary key,
  value jsonb not null,
  updated_at timestamptz not null default now()
);

-- Counted failures per source and purpose ("codes:203.0.113.9"), shared by all processes.
create table throttles (
  bucket text primary key,
  failures integer not null,
  window_started_at timestamptz not null
);

-- Everything that happened, written in the transaction of the change. Ids, names and states; never a secret.
create table events (
  seq bigint generated always as identity primary key,
  id text not null unique,
  type text not null,
  at timestamptz not null,
  actor text not null,
  device_id text,
  data jsonb not null
);
create index events_device on events (device_id, seq) where device_id is not null;

-- Errands: background work that is not a domain queue. Claimed with skip locked, a ticket and a lease; may run twice.
create table jobs (
  id bigint generated always as identity primary key,
  kind text not null,
  key text not null,
  payload jsonb not null default '{}',
  due_at timestamptz not null default now(),
  attempts integer not null default 0,
  ticket uuid,
  leased_until timestamptz,
  last_error text,
  unique (kind, key)
);
create index jobs_due on jobs (due_at);

-- ---------------------------------------------------------------- access

create table api_keys (
  id text primary key,
  name text not null,
  hash bytea not null unique,            -- SHA-256 of the whole key; the key itself is shown once and kept nowhere
  last_four text not null,
  scopes text[] not null,
  created_at timestamptz not null,
  created_by text not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);

-- The one-time token printed at the first start; works only while there is no API key.
create table setup_tokens (
  hash bytea primary key,
  expires_at timestamptz not null,
  used_at timestamptz
);

-- First answers to POSTs with an Idempotency-Key, written in the transaction of their effect.
create table idempotency_keys (
  owner text not null,
  key text not null,
  request_hash bytea not null,
  status integer not null,
  sealed_body bytea not null,            -- sealed: an answer may hold what is shown only once
  created_at timestamptz not null,
  primary key (owner, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);

-- ---------------------------------------------------------------- identity

-- Our own certificates with their keys: the device CA, the SCEP registration authority, the signer of profiles.
create table authorities (
  role text primary key check (role in ('device_ca', 'scep_ra', 'profile_signer')),
  certificate bytea not null,
  sealed_key bytea not null,
  created_at timestamptz not null
);

-- Every identity certificate that the device CA issued. Found by the SHA-256 of its DER, never by name or serial number.
create table certificates (
  sha256 bytea primary key,
  serial_number text not null unique,
  purpose text not null check (purpose in ('enrollment', 'renewal')),
  attempt_id text,
  device_key text,                       -- the device its challenge was made for, when that was known
  enrollment_id bigint,                  -- set when bound: at Authenticate, or at once for a renewal
  subject text not null,
  der bytea not null,
  not_before timestamptz not null,
  not_after timestamptz not null,
  issued_at timestamptz not null,
  revoked_at timestamptz,
  revocation_reason text
);
create index certificates_enrollment on certificates (enrollment_id) where enrollment_id is not null;
create index certificates_attempt on certificates (attempt_id) where attempt_id is not null;

create table scep_challenges (
  hash bytea primary key,
  attempt_id text not null,
  device_key text,                       -- the device it was made for, when that is known
  expires_at timestamptz not null,
  used_at timestamptz,
  transaction_id text,                   -- what used it, so that a resent request gets the same certificate
  csr_sha256 bytea,
  certificate_sha256 bytea
);
create index scep_challenges_attempt on scep_challenges (attempt_id);

-- The same for renewals, which have no challenge: one answer for each (signer, transaction, request).
create table scep_renewals (
  signer_sha256 bytea not null,
  transaction_id text not null,
  csr_sha256 bytea not null,
  certificate_sha256 bytea not null,
  issued_at timestamptz not null,
  primary key (signer_sha256, transaction_id)
);

-- ---------------------------------------------------------------- ways in

create table enrollment_links (
  id text primary key,
  slug text not null unique,
  name text not null,
  token_hash bytea not null unique,      -- keyed hashes: the link works by value, the database alone does not give it away
  code_hash bytea not null unique,
  sealed_secrets bytea not null,         -- {token, code}, to show them again
  code_expires_at timestamptz not null,
  ownership text not null check (ownership in ('company', 'personal')),
  access_rights integer not null,
  max_uses integer,
  uses integer not null default 0,
  expires_at timestamptz,
  revoked_at timestamptz,
  removable_by_user boolean not null default true,
  device_key text,                       -- made for one device: that device may replace its own enrollment by it
  created_at timestamptz not null,
  created_by text not null
);

-- One delivery of an enrollment profile.
create table enrollment_attempts (
  id text primary key,
  link_id text references enrollment_links (id),
  step text not null check (step in ('profile_delivered', 'identity_issued', 'authenticated', 'pending_approval', 'enrolled', 'rejected')),
  profile_identifier text not null,
  topic text not null,
  access_rights integer not null,
  device_key text,
  enrollment_id bigint,
  remote_address text,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index enrollment_attempts_link on enrollment_attempts (link_id);

-- ---------------------------------------------------------------- devices

-- The hardware, as far as we may know it.
create table devices (
  id text primary key,
  device_key text not null unique,       -- UDID, or EnrollmentID in user enrollment; exactly as the device sent it
  device_key_kind text not null check (device_key_kind in ('udid', 'enrollment_id')),
  serial_number text,
  name text,
  platform text,
  model text,
  model_name text,
  os_version text,
  build text,
  imei text,
  meid text,
  supervised boolean,
  ownership text,
  simulated boolean not null default false,
  facts jsonb not null default '{}',     -- the newest answers to DeviceInformation and SecurityInfo, by Apple's names
  facts_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index devices_device_key_folded on devices (lower(device_key));
create index devices_serial_number_folded on devices (lower(serial_number)) where serial_number is not null;

-- One generation of one channel to a device. A held newcomer is a row of its own beside the old one.
create table enrollments (
  id bigint generated always as identity primary key,
  device_id text not null references devices (id),
  channel text not null check (channel in ('device', 'user')),
  user_key text not null default '',     -- UserID, or UserShortName on Shared iPad, or EnrollmentUserID
  parent_id bigint references enrollments (id),
  device_key text not null,              -- as in devices: checked on every message without a join
  state text not null check (state in ('identity_issued', 'pending_approval', 'enrolled', 'unenrolled', 'erased', 'blocked')),
  generation integer not null,
  certificate_sha256 bytea,              -- the one identity that speaks for this row (device channel)
  attempt_id text,
  link_id text,
  access_rights integer,
  next_seq bigint not null default 1,    -- the order of commands; given under the lock of this row
  topic text,
  push_token bytea,                      -- all three of the push target or none
  push_magic text,
  token_updated_at timestamptz,
  push_stopped_at timestamptz,           -- Apple said that the token is dead; cleared by the next TokenUpdate
  push_trouble text,                     -- the reason Apple gave last, while it stands
  sealed_unlock_token bytea,
  awaiting_configuration boolean not null default false,
  user_short_name text,
  user_long_name text,
  created_at timestamptz not null,
  enrolled_at timestamptz,
  ended_at timestamptz,
  check ((push_token is null) = (push_magic is null)),
  check ((channel = 'user') = (parent_id is not null))
) with (fillfactor = 80);
-- Never two valid generations of one channel.
create unique index enrollments_current on enrollments (device_id, channel, user_key)
  where state in ('identity_issued', 'enrolled', 'blocked');
-- One certificate speaks for at most one enrollment.
create unique index enrollments_certificate on enrollments (certificate_sha256) where certificate_sha256 is not null;
create unique index enrollments_user_channel on enrollments (parent_id, user_key) where channel = 'user';
create index enrollments_device on enrollments (device_id);

-- Apart from the row above, because every visit writes it: collected for a second, flushed in one statement.
create table enrollment_sightings (
  enrollment_id bigint primary key references enrollments (id),
  last_seen_at timestamptz not null
) with (fillfactor = 70);

-- ---------------------------------------------------------------- commands

-- What the device gets, byte for byte (sealed: commands carry passwords and unlock tokens). Several commands may share one.
create table command_bodies (
  id bigint generated always as identity primary key,
  sealed_body bytea not null
);

-- Open commands only.
create table commands (
  enrollment_id bigint not null references enrollments (id),
  seq bigint not null,
  id text not null unique,
  command_uuid text not null,
  request_type text not null,
  body_id bigint not null references command_bodies (id),
  state text not null check (state in ('queued', 'delivered', 'not_now')),
  held boolean not null default false,   -- answered NotNow in this conversation: not offered again before the next Idle
  content_hash bytea,                    -- keyed hash of a query's content: the same question is not queued twice
  replaces_key text,                     -- what a newer command replaces while this one is undelivered ("profile:com.example.wifi")
  queued_at timestamptz not null,
  queued_by text not null,
  not_before timestamptz,
  expires_at timestamptz,
  delivered_at timestamptz,
  deliveries integer not null default 0,
  not_now_at timestamptz,
  not_now_count integer not null default 0,
  primary key (enrollment_id, seq),
  unique (enrollment_id, command_uuid)
) with (fillfactor = 70);
create index commands_expiry on commands (expires_at) where expires_at is not null;

-- Ended commands with their answers. Append-only.
create table command_results (
  enrollment_id bigint not null references enrollments (id),
  seq bigint not null,
  id text not null unique,
  command_uuid text not null,
  request_type text not null,
  body_id bigint not null references command_bodies (id),
  state text not null check (state in ('acknowledged', 'error', 'format_error', 'cancelled', 'expired', 'superseded')),
  queued_at timestamptz not null,
  queued_by text not null,
  not_before timestamptz,
  expires_at timestamptz,
  delivered_at timestamptz,
  deliveries integer not null,
  not_now_at timestamptz,
  not_now_count integer not null,
  ended_at timestamptz not null,
  ended_by text not null,
  reason text,
  error_chain jsonb,
  fields jsonb,                          -- the answer by Apple's names, known secrets left out
  sealed_raw bytea,                      -- the answer as the device sent it
  primary key (enrollment_id, seq),
  unique (enrollment_id, command_uuid)
);

-- ---------------------------------------------------------------- push

create table push_certificates (
  id text primary key,
  topic text not null unique,            -- renewing replaces the row's certificate and raises its version
  version bigint not null,
  certificate_pem text not null,         -- with its chain
  sealed_key bytea not null,
  sha256 bytea not null,
  serial_number text not null,
  not_before timestamptz not null,
  not_after timestamptz not null,
  simulated boolean not null default false,
  default_for_new boolean not null,
  memo text,
  stopped_reason text,                   -- Apple refuses this certificate; cleared by an upload
  uploaded_at timestamptz not null,
  uploaded_by text not null
);
create unique index push_certificates_default on push_certificates (default_for_new) where default_for_new;

-- Our wish that a device visit: one row per enrollment, however many commands wait. The visit removes it, not the push.
create table push_wakes (
  enrollment_id bigint primary key references enrollments (id),
  due_at timestamptz not null,
  attempt integer not null default 0,
  ticket uuid,
  leased_until timestamptz
) with (fillfactor = 70);
create index push_wakes_due on push_wakes (due_at);

-- What Apple answered to each push. Append-only.
create table pushes (
  id bigint generated always as identity primary key,
  enrollment_id bigint not null references enrollments (id),
  at timestamptz not null,
  outcome text not null,
  status integer,
  reason text,
  apns_id text
);
create index pushes_enrollment on pushes (enrollment_id, at desc);
