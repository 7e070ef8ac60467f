-- The webhook in MicroMDM's and NanoMDM's shape, and devices imported from such a server.

alter table enrollments add column token_update_tally integer not null default 0;  -- TokenUpdates since it enrolled; 1 = has just enrolled
alter table enrollments add column imported_at timestamptz;  -- came through /migration; nobody has spoken for it before it has a certificate

-- What is still to be told. A row stays until the receiver has accepted it or it is given up; in order per device, by `seq`.
create table webhook_events (
  seq bigint generated always as identity primary key,
  id text not null unique,               -- made before the row, so that the body can be sealed for its place
  stream text not null,                  -- the device key: what is told in order
  sealed_body bytea not null,            -- it holds what the device sent, secrets too
  created_at timestamptz not null default now(),
  due_at timestamptz not null default now(),
  attempts integer not null default 0,
  ticket uuid,
  leased_until timestamptz
);
create index webhook_events_stream on webhook_events (stream, seq);
