-- The separate check-in address: a choice of the link, and what each profile said. A device keeps the address for ever.

alter table enrollment_links add column separate_checkin boolean not null default false;
alter table enrollment_attempts add column checkin_url text;   -- CheckInURL of the profile; null: it had none

-- A challenge may be for the next identity of an enrollment that stands, instead of for an attempt to enroll. A device that came from
-- another server has no attempt at all.
alter table scep_challenges alter column attempt_id drop not null;
alter table scep_challenges add column enrollment_id bigint;
alter table scep_challenges add check (attempt_id is not null or enrollment_id is not null);
create index scep_challenges_enrollment on scep_challenges (enrollment_id) where enrollment_id is not null;
