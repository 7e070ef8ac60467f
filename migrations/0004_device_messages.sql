-- One message of a device is one or two statements. Each costs a round trip and a plan, so what belongs together under the lock of
-- an enrollment row is a function here, prepared once per connection. A poll is one (`device_visit`); a check-in is two: `device_speaker`
-- locks and tells the facts, the program judges, and one of the others carries the judgement out. They decide nothing that
-- an administrator would call a rule, with one exception: who may speak, which nobody may forget to ask (`device_speaker`).
--
-- Lock order, everywhere: enrollments (the device's row before its users'), commands, push_wakes. A function that waits for a lock reads
-- what the lock protects after it: in a volatile function every statement sees what was committed before it began.

-- Ciphertext does not compress; trying to costs more than storing it.
alter table command_bodies alter column sealed_body set storage external;
alter table command_results alter column sealed_raw set storage external;

-- Authenticate came with a renewed identity, its TokenUpdate has not: the same Authenticate again (its answer was lost) is no new enrollment.
alter table enrollments add column renewal_open boolean not null default false;

create index enrollment_attempts_enrollment on enrollment_attempts (enrollment_id) where enrollment_id is not null;

-- ---------------------------------------------------------------- small helpers
-- All in plpgsql: PostgreSQL keeps its plans for the connection, and plans a function in SQL at every call.

-- An id like those of src/base/ids.ts: prefix, underscore, ULID. One of its 80 random bits is not random here.
create function new_id(p_prefix text) returns text language plpgsql volatile as $$
declare
  v_digits constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  v_ms bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
  v_random bytea := uuid_send(gen_random_uuid());
  v_id text := '';
begin
  for i in 0..9 loop
    v_id := v_id || substr(v_digits, ((v_ms >> (45 - 5 * i)) & 31)::int + 1, 1);
  end loop;
  for i in 0..15 loop
    v_id := v_id || substr(v_digits, (get_byte(v_random, i) & 31) + 1, 1);
  end loop;
  return p_prefix || '_' || v_id;
end $$;

create function record_event(p_type text, p_actor text, p_device text, p_data jsonb) returns void language plpgsql volatile as $$
begin
  insert into events (id, type, at, actor, device_id, data) values (new_id('evt'), p_type, now(), p_actor, p_device, p_data);
end $$;

-- Leaves an errand; asked for again while it runs, it runs once more.
create function leave_errand(p_kind text, p_key text, p_payload jsonb, p_delay_seconds double precision default 0) returns void language plpgsql volatile as $$
begin
  insert into jobs (kind, key, payload, due_at) values (p_kind, p_key, p_payload, now() + make_interval(secs => p_delay_seconds))
  on conflict (kind, key) do update set payload = excluded.payload, due_at = least(jobs.due_at, excluded.due_at), ticket = null,
    leased_until = null, attempts = 0;
end $$;

-- Our wish for a visit; a wish made while its push is in flight is a new one.
create function wake_device(p_enrollment bigint, p_at timestamptz) returns void language plpgsql volatile as $$
begin
  insert into push_wakes (enrollment_id, due_at) values (p_enrollment, p_at)
  on conflict (enrollment_id) do update set due_at = least(push_wakes.due_at, excluded.due_at), attempt = 0, ticket = null, leased_until = null;
end $$;

-- Moves an attempt forward; one that is further already stays.
create function mark_attempt(p_attempt text, p_step text, p_enrollment bigint default null) returns void language plpgsql volatile as $$
declare
  v_order constant text[] := array['profile_delivered', 'identity_issued', 'authenticated', 'pending_approval', 'enrolled', 'rejected'];
begin
  update enrollment_attempts a set step = p_step, enrollment_id = coalesce(p_enrollment, a.enrollment_id), updated_at = now()
  where a.id = p_attempt and array_position(v_order, a.step) < array_position(v_order, p_step);
end $$;

-- ---------------------------------------------------------------- ends

-- Ends the open commands of a channel, each with its event; only those whose time is over when p_state is 'expired'. The caller holds the
-- enrollment row. Returns how many.
create function end_commands(p_enrollment bigint, p_device text, p_state text, p_reason text) returns integer language plpgsql volatile as $$
declare
  v_count integer;
begin
  with ended as (
    delete from commands c where c.enrollment_id = p_enrollment
      and (p_state <> 'expired' or (c.expires_at <= now() and c.state <> 'delivered'))
    returning c.*),
  kept as (
    insert into command_results (enrollment_id, seq, id, command_uuid, request_type, body_id, queued_at, queued_by, not_before, expires_at, delivered_at,
      deliveries, not_now_at, not_now_count, state, ended_at, ended_by, reason)
    select enrollment_id, seq, id, command_uuid, request_type, body_id, queued_at, queued_by, not_before, expires_at, delivered_at,
      deliveries, not_now_at, not_now_count, p_state, now(), 'system', p_reason from ended order by seq
    returning id),
  told as (
    insert into events (id, type, at, actor, device_id, data)
    select new_id('evt'), 'command.' || p_state, now(), 'system', p_device, jsonb_strip_nulls(jsonb_build_object(
      'device', p_device, 'command', id, 'reason', case when p_state = 'superseded' then p_reason end)) from kept
    returning 1)
  select count(*) into v_count from told;
  return v_count;
end $$;

-- Ends a channel, with its user channels when it is the device's, or with p_users_only just those: none of their commands may reach whoever
-- comes next. The caller holds the row.
create function end_channels(p_enrollment bigint, p_state text, p_reason text, p_actor text, p_users_only boolean default false)
  returns void language plpgsql volatile as $$
declare
  v_ended record;
begin
  for v_ended in
    update enrollments e set state = p_state, ended_at = now(), push_token = null, push_magic = null, push_stopped_at = null, push_trouble = null,
      token_update_tally = 0
    where (e.parent_id = p_enrollment or (e.id = p_enrollment and not p_users_only))
      and e.state in ('identity_issued', 'pending_approval', 'enrolled', 'blocked')
    returning e.id, e.device_id
  loop
    perform record_event('device.unenrolled', p_actor, v_ended.device_id,
      jsonb_build_object('device', v_ended.device_id, 'enrollment', v_ended.id, 'reason', p_reason));
    perform end_commands(v_ended.id, v_ended.device_id, 'superseded', p_reason);
    delete from push_wakes w where w.enrollment_id = v_ended.id;
  end loop;
end $$;

-- Revokes every certificate of an enrollment but one.
create function revoke_certificates(p_enrollment bigint, p_except bytea, p_reason text, p_actor text) returns void language plpgsql volatile as $$
declare
  v_revoked record;
begin
  for v_revoked in
    update certificates c set revoked_at = now(), revocation_reason = p_reason
    where c.enrollment_id = p_enrollment and c.sha256 is distinct from p_except and c.revoked_at is null
    returning c.serial_number
  loop
    perform record_event('certificate.revoked', p_actor, null, jsonb_build_object('serial_number', v_revoked.serial_number, 'reason', p_reason));
  end loop;
end $$;

-- ---------------------------------------------------------------- who speaks

create type speaker as (
  refusal text,               -- why this message is refused; then nothing else is told
  attempt_id text,
  bound_device_key text,      -- the device that the certificate's challenge was made for
  purpose text,
  enrollment_id bigint,       -- the device channel; null until this certificate has said Authenticate
  device_id text,
  state text,
  generation integer,
  renewal_open boolean,       -- it has renewed its identity and owes a TokenUpdate
  is_current boolean,         -- whether this certificate is the one that speaks; a renewed one is not until it is first used
  user_id bigint,
  user_state text,
  since timestamptz,          -- since when the channel that speaks is as it is
  topic_known boolean,
  any_topic boolean,          -- whether any push certificate is held
  -- For a certificate that has not said Authenticate yet: what is known of the device it names.
  known_device_id text,
  present_id bigint,          -- the generation that speaks for that device now
  present_state text,
  present_silent boolean,
  present_revoked boolean
);

-- Newcomers for one device come one after the other, also while the device has no row yet.
create function lock_newcomers(p_device_key text) returns void language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock(1651666284, hashtext(p_device_key));
end $$;

-- Who presents this certificate, under the locks of the rows it speaks for. The binding is the SHA-256 of the certificate, never a name in it.
create function device_speaker(p_certificate bytea, p_device_key text, p_user_key text, p_topic text default null)
  returns speaker language plpgsql volatile as $$
declare
  s speaker;
  v_enrollment bigint;
  v_revoked timestamptz;
  v_device_key text;
begin
  select c.enrollment_id into v_enrollment from certificates c where c.sha256 = p_certificate;
  if not found then
    s.refusal := 'unknown_certificate';
    return s;
  end if;
  if v_enrollment is null then
    perform lock_newcomers(p_device_key);
    select c.enrollment_id into v_enrollment from certificates c where c.sha256 = p_certificate;
  end if;
  if v_enrollment is not null then
    select e.id, e.device_id, e.device_key, e.state, e.generation, e.renewal_open, e.certificate_sha256 is not distinct from p_certificate, coalesce(e.enrolled_at, e.created_at)
      into s.enrollment_id, s.device_id, v_device_key, s.state, s.generation, s.renewal_open, s.is_current, s.since
      from enrollments e where e.id = v_enrollment for update;
  end if;
  select c.attempt_id, c.device_key, c.purpose, c.revoked_at into s.attempt_id, s.bound_device_key, s.purpose, v_revoked
    from certificates c where c.sha256 = p_certificate;
  if v_revoked is not null then
    s.refusal := 'revoked';
  elsif v_enrollment is not null and v_device_key <> p_device_key then
    s.refusal := 'cert_enrollment_mismatch';
  elsif v_enrollment is not null and p_user_key <> '' then
    select u.id, u.state, coalesce(u.enrolled_at, u.created_at) into s.user_id, s.user_state, s.since from enrollments u
      where u.parent_id = v_enrollment and u.user_key = p_user_key and u.channel = 'user' for update;
  elsif v_enrollment is null then
    select e.id, e.state, coalesce(t.last_seen_at, e.created_at) < now() - interval '30 days', c.revoked_at is not null
      into s.present_id, s.present_state, s.present_silent, s.present_revoked
      from devices d join enrollments e on e.device_id = d.id
      left join enrollment_sightings t on t.enrollment_id = e.id
      left join certificates c on c.sha256 = e.certificate_sha256
      where d.device_key = p_device_key and e.channel = 'device' and e.state in ('identity_issued', 'enrolled', 'blocked')
      for update of e;
    select d.id into s.known_device_id from devices d where d.device_key = p_device_key;
  end if;
  if p_topic is not null then
    s.topic_known := exists (select from push_certificates p where p.topic = p_topic);
    s.any_topic := exists (select from push_certificates);
  end if;
  return s;
end $$;

-- ---------------------------------------------------------------- a poll

create type visit as (
  refusal text,
  enrollment_id bigint,       -- the channel that was here
  ignored boolean,            -- the report fitted no open command
  ended_id text,              -- the command that this report ended, and its RequestType
  ended_type text,
  left_errand boolean,
  not_kept boolean,           -- its answer would have been more than a device may fill our disk with
  command_id text,            -- what to hand out
  request_type text,
  body_id bigint,
  sealed_body bytea
);

-- One visit on the command channel: the report is stored and the next command chosen. p_outcome is null for Idle, else 'not_now' or the state
-- that the command p_uuid ends in. p_telling: RequestTypes whose answers are worth an errand. p_patience: minutes until the next push
-- after the first, second … NotNow. p_event_ids: two fresh ids. p_webhook: what the webhook will tell of this visit, when there is one.
create function device_visit(p_certificate bytea, p_device_key text, p_user_key text, p_outcome text, p_uuid text, p_error_chain jsonb, p_fields jsonb,
  p_sealed_raw bytea, p_telling text[], p_patience integer[], p_event_ids text[], p_webhook_id text, p_webhook_body bytea)
  returns visit language plpgsql volatile as $$
declare
  s speaker;
  v visit;
  v_id text;
  v_count integer;
  v_held integer;
  v_not_now integer;
  v_not_before timestamptz;
  v_deliveries integer;
  v_kept boolean;
begin
  s := device_speaker(p_certificate, p_device_key, p_user_key);
  v.refusal := case when s.refusal is not null then s.refusal
    when s.enrollment_id is null then 'not_enrolled'
    when not s.is_current then 'not_current_certificate'
    when s.state not in ('enrolled', 'identity_issued', 'pending_approval') then 'not_enrolled' end;
  v.enrollment_id := s.enrollment_id;
  -- A held newcomer is not told of: to the receiver it would look like the device that is enrolled.
  if p_webhook_id is not null and v.refusal is null and s.state <> 'pending_approval' then
    insert into webhook_events (id, stream, sealed_body) values (p_webhook_id, p_device_key, p_webhook_body);
  end if;
  -- Held newcomers, devices between Authenticate and TokenUpdate, and users we have not met: nothing to say yet.
  if v.refusal is not null or s.state <> 'enrolled' or (p_user_key <> '' and s.user_state is distinct from 'enrolled') then
    return v;
  end if;
  if p_user_key <> '' then
    v.enrollment_id := s.user_id;
  end if;

  if p_outcome is null then
    -- A conversation begins with Idle: what was answered NotNow is offered again, at its old place.
    update commands c set held = false where c.enrollment_id = v.enrollment_id and c.held;
  elsif p_outcome = 'not_now' then
    update commands c set state = 'not_now', held = true, not_now_at = now(), not_now_count = c.not_now_count + 1
      where c.enrollment_id = v.enrollment_id and c.command_uuid = p_uuid returning c.id, c.not_now_count into v_id, v_not_now;
    v.ignored := not found;
    if found then
      insert into events (id, type, at, actor, device_id, data) values (p_event_ids[1], 'command.not_now', now(), p_device_key, s.device_id,
        jsonb_build_object('device', s.device_id, 'command', v_id, 'count', v_not_now));
    end if;
  else
    -- 64 MiB of answers within a day for each channel, so that no device fills the disk; those of the usual size are not counted.
    v_kept := octet_length(p_sealed_raw) <= 65536 or octet_length(p_sealed_raw) + (
      select coalesce(sum(octet_length(r.sealed_raw)), 0) from command_results r
      where r.enrollment_id = v.enrollment_id and r.ended_at > now() - interval '1 day') <= 67108864;
    -- Whoever deletes the row writes the end: it happens once.
    with ended as (delete from commands c where c.enrollment_id = v.enrollment_id and c.command_uuid = p_uuid returning c.*)
    insert into command_results (enrollment_id, seq, id, command_uuid, request_type, body_id, queued_at, queued_by, not_before, expires_at, delivered_at,
      deliveries, not_now_at, not_now_count, state, ended_at, ended_by, reason, error_chain, fields, sealed_raw)
    select enrollment_id, seq, id, command_uuid, request_type, body_id, queued_at, queued_by, not_before, expires_at, delivered_at,
      deliveries, not_now_at, not_now_count, p_outcome, now(), 'device',
      case when not v_kept then 'The device answered, and its answer was not kept: it sent more than 64 MiB of answers within a day.' end,
      p_error_chain, case when v_kept then p_fields end, case when v_kept then p_sealed_raw end from ended
    returning id, request_type into v.ended_id, v.ended_type;
    v.ignored := not found;
    if found then
      v.not_kept := not v_kept;
      insert into events (id, type, at, actor, device_id, data) values (p_event_ids[1],
        case when p_outcome = 'acknowledged' then 'command.acknowledged' else 'command.failed' end, now(), p_device_key, s.device_id,
        jsonb_build_object('device', s.device_id, 'command', v.ended_id, 'request_type', v.ended_type)
          || case when p_outcome = 'acknowledged' then '{}' else jsonb_build_object('state', p_outcome) end);
      -- Until one of these is acknowledged, Setup Assistant or the login of a user waits for us (Apple: Device Configured, User Configured).
      if p_outcome = 'acknowledged' and v.ended_type in ('DeviceConfigured', 'UserConfigured') then
        update enrollments e set awaiting_configuration = false where e.id = v.enrollment_id;
      end if;
      v.left_errand := p_outcome = 'acknowledged' and v.ended_type = any(p_telling);
      if v.left_errand then
        perform leave_errand('learn', v.ended_id, jsonb_build_object('command', v.ended_id));
      end if;
    end if;
  end if;

  -- The oldest that may go out. It stays in the queue until it is answered: at least once, in order.
  update commands c set state = 'delivered', deliveries = c.deliveries + 1, delivered_at = coalesce(c.delivered_at, now())
    from command_bodies b
    where b.id = c.body_id and c.enrollment_id = v.enrollment_id and c.seq = (
      select q.seq from commands q
      where q.enrollment_id = v.enrollment_id and not q.held and (q.not_before is null or q.not_before <= now())
        and (q.expires_at is null or q.expires_at > now() or q.state = 'delivered')
      order by q.seq limit 1)
    returning c.id, c.request_type, c.body_id, b.sealed_body, c.deliveries
    into v.command_id, v.request_type, v.body_id, v.sealed_body, v_deliveries;
  if found then
    if v_deliveries = 1 then
      insert into events (id, type, at, actor, device_id, data) values (p_event_ids[2], 'command.delivered', now(), p_device_key, s.device_id,
        jsonb_build_object('device', s.device_id, 'command', v.command_id));
    end if;
    return v;
  end if;

  -- A report that fitted nothing tells nothing about the visit: the wish for one stays as it is.
  if v.ignored then
    return v;
  end if;
  -- The conversation ends. A device that said NotNow comes back by itself only if that was its last word, and not always then: so what is left gets
  -- a push later. With nothing left the wish for a visit is fulfilled.
  if exists (select from commands c where c.enrollment_id = v.enrollment_id and c.expires_at <= now() and c.state <> 'delivered') then
    perform end_commands(v.enrollment_id, s.device_id, 'expired', 'its time was over');
  end if;
  select count(*), count(*) filter (where c.held), coalesce(max(c.not_now_count) filter (where c.held), 0), min(c.not_before) filter (where c.not_before > now())
    into v_count, v_held, v_not_now, v_not_before from commands c where c.enrollment_id = v.enrollment_id;
  if v_count = 0 then
    delete from push_wakes w where w.enrollment_id = v.enrollment_id;
    return v;
  end if;
  insert into push_wakes (enrollment_id, due_at) values (v.enrollment_id, case when v_held = 0 and v_not_before is not null then v_not_before
      else now() + make_interval(mins => p_patience[greatest(1, least(v_not_now, cardinality(p_patience)))]) end)
    on conflict (enrollment_id) do update set due_at = excluded.due_at, ticket = null, leased_until = null;
  return v;
end $$;

-- ---------------------------------------------------------------- check-ins

-- Authenticate, as judged: a generation of its own (p_again null), perhaps in the place of another one, or the same identity that begins again.
-- What was kept for the one before is forgotten (protocol.md 2.1). p_device: what the message says of the hardware, by our column names, and a
-- fresh `id`. p_certificate is null for a device that is imported: nobody has spoken for it yet. p_adopted: what the event tells of a certificate that another server's CA issued. Returns the enrollment.
create function begin_enrollment(p_device jsonb, p_again bigint, p_replaces bigint, p_state text, p_certificate bytea, p_attempt text, p_topic text,
  p_adopted jsonb, p_actor text) returns bigint language plpgsql volatile as $$
declare
  v_device text;
  v_enrollment bigint := p_again;
  v_attempt record;
begin
  select a.access_rights, a.link_id, l.ownership, coalesce(p.simulated, false) as simulated into v_attempt
    from enrollment_attempts a left join enrollment_links l on l.id = a.link_id left join push_certificates p on p.topic = a.topic
    where a.id = p_attempt;
  insert into devices as d (id, device_key, device_key_kind, serial_number, name, platform, model, model_name, os_version, build, imei, meid,
      ownership, simulated, created_at, updated_at)
    select n.id, n.device_key, n.device_key_kind, n.serial_number, n.name, n.platform, n.model, n.model_name, n.os_version, n.build, n.imei, n.meid,
      v_attempt.ownership, coalesce(v_attempt.simulated, false), now(), now()
    from jsonb_populate_record(null::devices, p_device) n
    on conflict (device_key) do update set
      serial_number = coalesce(excluded.serial_number, d.serial_number), name = coalesce(excluded.name, d.name),
      platform = coalesce(excluded.platform, d.platform), model = coalesce(excluded.model, d.model),
      model_name = coalesce(excluded.model_name, d.model_name), os_version = coalesce(excluded.os_version, d.os_version),
      build = coalesce(excluded.build, d.build), imei = coalesce(excluded.imei, d.imei), meid = coalesce(excluded.meid, d.meid),
      ownership = coalesce(excluded.ownership, d.ownership),
      simulated = case when v_attempt.simulated is null then d.simulated else excluded.simulated end, updated_at = now()
    returning d.id into v_device;

  if p_replaces is not null then
    -- Old certificate out at once, its commands end, its wake goes: never two valid generations.
    perform end_channels(p_replaces, 'unenrolled', 're-enrolled', p_actor);
    perform revoke_certificates(p_replaces, null, 'superseded', p_actor);
  end if;

  if p_again is null then
    insert into enrollments (device_id, channel, device_key, state, generation, certificate_sha256, attempt_id, topic, access_rights, link_id, created_at)
      select v_device, 'device', p_device ->> 'device_key', p_state, coalesce(max(e.generation), 0) + 1, p_certificate, p_attempt, p_topic,
        v_attempt.access_rights, v_attempt.link_id, now()
      from enrollments e where e.device_id = v_device and e.channel = 'device'
      returning id into v_enrollment;
    update certificates c set enrollment_id = v_enrollment where c.sha256 = p_certificate and c.enrollment_id is null and c.revoked_at is null;
    if not found and p_certificate is not null then
      raise exception 'a certificate was bound or revoked under our lock';
    end if;
  else
    update enrollments e set state = p_state, generation = e.generation + 1, topic = p_topic, push_token = null, push_magic = null, token_updated_at = null,
        push_stopped_at = null, push_trouble = null, sealed_unlock_token = null, sealed_bootstrap_token = null, awaiting_configuration = false,
        enrolled_at = null, renewal_open = false, token_update_tally = 0, imported_at = null, access_rights = coalesce(v_attempt.access_rights, e.access_rights), link_id = coalesce(v_attempt.link_id, e.link_id)
      where e.id = p_again;
    perform end_channels(p_again, 'unenrolled', 're-enrolled', p_actor, true);
    perform end_commands(p_again, v_device, 'superseded', 're-enrolled');
    delete from push_wakes w where w.enrollment_id = p_again;
    delete from declaration_status t where t.enrollment_id = p_again;
  end if;

  perform mark_attempt(p_attempt, case when p_state = 'pending_approval' then 'pending_approval' else 'authenticated' end, v_enrollment);
  if p_adopted is not null then
    perform record_event('certificate.adopted', p_actor, v_device, p_adopted || jsonb_build_object('device', v_device, 'enrollment', v_enrollment));
  end if;
  perform record_event(case when p_state = 'pending_approval' then 'enrollment.held' else 'device.enrolling' end, p_actor, v_device,
    jsonb_build_object('device', v_device, 'enrollment', v_enrollment, 'attempt', p_attempt));
  return v_enrollment;
end $$;

-- TokenUpdate of a channel whose row is p_enrollment, or of the user p_user of that device (his row is made when it is new). What is absent keeps its old
-- value: a missing UnlockToken or AwaitingConfiguration says nothing (protocol.md 2.2). A channel that has just enrolled is woken after
-- p_first_push_seconds: its token needs a moment. Returns whether a push is due now.
create function update_token(p_enrollment bigint, p_actor text, p_user jsonb, p_topic text, p_token bytea, p_magic text, p_sealed_unlock_token bytea,
  p_awaiting boolean, p_first_push_seconds double precision) returns boolean language plpgsql volatile as $$
declare
  v_channel bigint := p_enrollment;
  v_before text;
  v_device text;
  v_woken boolean;
  -- The sender compares it with what it read, and the program reads milliseconds.
  v_now timestamptz := date_trunc('milliseconds', now());
begin
  if p_user is not null then
    select u.id, u.state into v_channel, v_before from enrollments u
      where u.parent_id = p_enrollment and u.user_key = p_user ->> 'key' and u.channel = 'user';
    if found then
      -- One that has ended begins again: nothing of before.
      update enrollments u set state = 'enrolled', ended_at = null, enrolled_at = case when v_before = 'enrolled' then u.enrolled_at else now() end,
        awaiting_configuration = u.awaiting_configuration and v_before = 'enrolled',
        user_short_name = coalesce(p_user ->> 'short_name', u.user_short_name), user_long_name = coalesce(p_user ->> 'long_name', u.user_long_name)
        where u.id = v_channel;
    else
      insert into enrollments (device_id, channel, user_key, parent_id, device_key, state, generation, created_at, enrolled_at, user_short_name, user_long_name)
        select e.device_id, 'user', p_user ->> 'key', e.id, e.device_key, 'enrolled', e.generation, now(), now(), p_user ->> 'short_name', p_user ->> 'long_name'
        from enrollments e where e.id = p_enrollment
        returning id into v_channel;
    end if;
  else
    select e.state into v_before from enrollments e where e.id = p_enrollment;
  end if;
  update enrollments e set state = case when e.state = 'identity_issued' then 'enrolled' else e.state end, topic = p_topic, push_token = p_token,
      push_magic = p_magic, token_updated_at = v_now, renewal_open = false, push_stopped_at = null, push_trouble = null,
      sealed_unlock_token = coalesce(p_sealed_unlock_token, e.sealed_unlock_token), awaiting_configuration = e.awaiting_configuration or p_awaiting,
      token_update_tally = e.token_update_tally + case when e.state = 'pending_approval' then 0 else 1 end,
      enrolled_at = coalesce(e.enrolled_at, case when e.state <> 'pending_approval' then now() end)
    where e.id = v_channel returning e.device_id into v_device;

  if v_before is not distinct from 'enrolled' or v_before is not distinct from 'pending_approval' then
    perform record_event('device.token_updated', p_actor, v_device, jsonb_build_object('device', v_device, 'enrollment', v_channel));
    -- A new token is worth a push only when something waits.
    v_woken := exists (select from commands c where c.enrollment_id = v_channel);
    if v_woken then
      perform wake_device(v_channel, now());
    end if;
    return v_woken;
  end if;
  perform record_event('device.enrolled', p_actor, v_device, jsonb_build_object('device', v_device, 'enrollment', v_channel));
  -- A user's channel begins again in its old row.
  delete from declaration_status t where t.enrollment_id = v_channel;
  perform mark_attempt(a.id, 'enrolled') from enrollment_attempts a where a.enrollment_id = v_channel;
  perform wake_device(v_channel, now() + make_interval(secs => p_first_push_seconds));
  return false;
end $$;

-- What a channel has reported of itself so far. A function, so that it reads after the lock that `device_speaker` waited for.
create function declared_items(p_enrollment bigint) returns jsonb language plpgsql volatile as $$
begin
  return (select t.items from declaration_status t where t.enrollment_id = p_enrollment);
end $$;
