-- What a device entrusts beyond its UnlockToken, and what it declares about itself.

alter table enrollments add column sealed_bootstrap_token bytea;  -- of this generation only: forgotten when it begins again

-- Declarative status, merged from the reports of one channel; gone when the channel begins again.
create table declaration_status (
  enrollment_id bigint primary key references enrollments (id),
  items jsonb not null,                  -- StatusItems, by Apple's names, dots as nesting
  errors jsonb not null,                 -- Errors of the newest report
  reported_at timestamptz not null,
  full_report_at timestamptz             -- when everything was said at once, the last time
);
