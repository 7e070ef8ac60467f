-- The separate check-in address: a choice of the link, and what each profile said. A device keeps the address for ever.

alter table enrollment_links add column separate_checkin boolean not null default false;
alter table enrollment_attempts add column checkin_url text;   -- CheckInURL of the profile; null: it had none
