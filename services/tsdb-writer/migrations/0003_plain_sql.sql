-- The time series for people with plain SQL. The format of a chunk is libs/series/README.md's; every value comes out as the
-- program reads it, to the bit, but for a NaN, of which SQL knows only one. Positions count bytes from 0.

CREATE FUNCTION chunk_varint(b bytea, INOUT pos integer, OUT value bigint)
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  byte   integer;
  shift  integer := 0;
BEGIN
  value := 0;
  LOOP
    byte := get_byte(b, pos);
    pos := pos + 1;
    value := value | ((byte & 127)::bigint << shift);
    EXIT WHEN byte < 128;
    shift := shift + 7;
    IF shift > 63 THEN
      RAISE EXCEPTION 'not a chunk' USING ERRCODE = 'data_corrupted';
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION chunk_unzigzag(value bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN ((value >> 1) & 9223372036854775807) # (-(value & 1));

-- Sums and products wrap at 64 bits, which SQL's own would refuse to: halves of 32 bits, put together again.
CREATE FUNCTION chunk_add(a bigint, b bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (((a >> 32) + (b >> 32) + (((a & 4294967295) + (b & 4294967295)) >> 32)) << 32)
         | (((a & 4294967295) + (b & 4294967295)) & 4294967295);

-- `times` is a row's number, at most 2^20.
CREATE FUNCTION chunk_multiply(a bigint, times integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN chunk_add(((a >> 32) * times) << 32, (a & 4294967295) * times);

CREATE FUNCTION chunk_fixed64(b bytea, pos integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN get_byte(b, pos)::bigint | (get_byte(b, pos + 1)::bigint << 8) | (get_byte(b, pos + 2)::bigint << 16)
         | (get_byte(b, pos + 3)::bigint << 24) | (get_byte(b, pos + 4)::bigint << 32) | (get_byte(b, pos + 5)::bigint << 40)
         | (get_byte(b, pos + 6)::bigint << 48) | (get_byte(b, pos + 7)::bigint << 56);

-- A double from its bits: the mantissa times two powers of two, each within range, so that every step is exact.
CREATE FUNCTION chunk_double(bits bigint) RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  exponent  integer := ((bits >> 52) & 2047)::integer;
  mantissa  bigint := bits & 4503599627370495;
  half      integer;
  value     double precision;
BEGIN
  IF exponent = 2047 THEN
    RETURN CASE WHEN mantissa <> 0 THEN 'NaN' WHEN bits < 0 THEN '-Infinity' ELSE 'Infinity' END::double precision;
  END IF;
  IF exponent = 0 THEN
    exponent := -1074;
  ELSE
    mantissa := mantissa | 4503599627370496;
    exponent := exponent - 1075;
  END IF;
  half := exponent / 2;
  value := mantissa::double precision * power(2::double precision, half) * power(2::double precision, exponent - half);
  RETURN CASE WHEN bits < 0 THEN -value ELSE value END;
END $$;

CREATE FUNCTION chunk_blocks(b bytea, INOUT pos integer, n integer, OUT result bigint[])
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  done    integer := 0;
  count   integer;
  head    integer;
  width   integer;
  base    bigint := 0;
  z       bigint;
  v       bigint;
  bit     integer;
  filled  integer;
  taken   integer;
  place   integer;
BEGIN
  result := array_fill(0::bigint, ARRAY[n]);
  WHILE done < n LOOP
    count := least(128, n - done);
    head := get_byte(b, pos);
    width := head & 127;
    SELECT r.pos, r.value INTO pos, z FROM chunk_varint(b, pos + 1) r;
    base := chunk_add(base, chunk_unzigzag(z));
    bit := 0;
    FOR i IN 1 .. count LOOP
      v := 0;
      filled := 0;
      WHILE filled < width LOOP
        taken := least(8 - (bit & 7), width - filled);
        v := v | (((get_byte(b, pos + (bit >> 3)) >> (bit & 7)) & ((1 << taken) - 1))::bigint << filled);
        filled := filled + taken;
        bit := bit + taken;
      END LOOP;
      IF head < 128 THEN
        v := chunk_add(v, base);
      END IF;
      result[done + i] := v;
    END LOOP;
    pos := pos + (count * width + 7) / 8;
    IF head >= 128 THEN
      taken := get_byte(b, pos);
      pos := pos + 1;
      FOR i IN 1 .. taken LOOP
        place := done + 1 + get_byte(b, pos);
        SELECT r.pos, r.value INTO pos, z FROM chunk_varint(b, pos + 1) r;
        result[place] := result[place] | (z << width);
      END LOOP;
      FOR i IN done + 1 .. done + count LOOP
        result[i] := chunk_add(chunk_unzigzag(result[i]), base);
      END LOOP;
    END IF;
    done := done + count;
  END LOOP;
END $$;

CREATE FUNCTION chunk_integers(b bytea, INOUT pos integer, n integer, OUT result bigint[])
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  mode       integer := get_byte(b, pos);
  transform  integer := mode & 3;
  heads      integer := CASE transform WHEN 1 THEN 1 WHEN 2 THEN 2 ELSE 0 END;
  z          bigint;
  head       bigint;
  step       bigint;
  slope      bigint;
  residuals  bigint[];
  changed    bigint[];
  bits       integer;
  set_bits   integer := 0;
BEGIN
  pos := pos + 1;
  IF heads > 0 THEN
    SELECT r.pos, r.value INTO pos, z FROM chunk_varint(b, pos) r;
    head := chunk_unzigzag(z);
  END IF;
  IF heads > 1 OR transform = 3 THEN
    SELECT r.pos, r.value INTO pos, z FROM chunk_varint(b, pos) r;
    step := chunk_unzigzag(z);
    slope := step;
  END IF;
  CASE mode >> 2
    WHEN 0 THEN
      SELECT r.pos, r.value INTO pos, z FROM chunk_varint(b, pos) r;
      residuals := array_fill(chunk_unzigzag(z), ARRAY[n - heads]);
    WHEN 1 THEN
      SELECT r.pos, r.result INTO pos, residuals FROM chunk_blocks(b, pos, n - heads) r;
    WHEN 2 THEN
      bits := pos;
      pos := pos + (n - heads + 7) / 8;
      FOR i IN 0 .. n - heads - 1 LOOP
        set_bits := set_bits + ((get_byte(b, bits + (i >> 3)) >> (i & 7)) & 1);
      END LOOP;
      SELECT r.pos, r.result INTO pos, changed FROM chunk_blocks(b, pos, set_bits) r;
      residuals := array_fill(0::bigint, ARRAY[n - heads]);
      set_bits := 0;
      FOR i IN 0 .. n - heads - 1 LOOP
        IF (get_byte(b, bits + (i >> 3)) >> (i & 7)) & 1 = 1 THEN
          set_bits := set_bits + 1;
          residuals[i + 1] := changed[set_bits];
        END IF;
      END LOOP;
    ELSE
      RAISE EXCEPTION 'not a chunk' USING ERRCODE = 'data_corrupted';
  END CASE;

  IF transform = 0 THEN
    result := residuals;
    RETURN;
  END IF;
  result := array_fill(0::bigint, ARRAY[n]);
  IF transform = 3 THEN
    FOR i IN 1 .. n LOOP
      result[i] := chunk_add(residuals[i], chunk_multiply(slope, i - 1));
    END LOOP;
    RETURN;
  END IF;
  result[1] := head;
  IF transform = 1 THEN
    FOR i IN 2 .. n LOOP
      head := chunk_add(head, residuals[i - 1]);
      result[i] := head;
    END LOOP;
    RETURN;
  END IF;
  head := chunk_add(head, step);
  result[2] := head;
  FOR i IN 3 .. n LOOP
    step := chunk_add(step, residuals[i - 2]);
    head := chunk_add(head, step);
    result[i] := head;
  END LOOP;
END $$;

CREATE FUNCTION chunk_flags(b bytea, INOUT pos integer, n integer, OUT result boolean[])
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  codec    integer := get_byte(b, pos);
  runs     bigint;
  lengths  bigint[];
  place    integer := 0;
  flag     boolean;
BEGIN
  pos := pos + 1;
  IF codec <= 1 THEN
    result := array_fill(codec = 1, ARRAY[n]);
  ELSIF codec = 2 THEN
    result := array_fill(false, ARRAY[n]);
    FOR i IN 0 .. n - 1 LOOP
      result[i + 1] := (get_byte(b, pos + (i >> 3)) >> (i & 7)) & 1 = 1;
    END LOOP;
    pos := pos + (n + 7) / 8;
  ELSE
    result := array_fill(false, ARRAY[n]);
    SELECT r.pos, r.value INTO pos, runs FROM chunk_varint(b, pos) r;
    SELECT r.pos, r.result INTO pos, lengths FROM chunk_integers(b, pos, runs::integer) r;
    flag := codec = 4;
    FOR i IN 1 .. runs LOOP
      IF flag THEN
        FOR j IN place + 1 .. place + lengths[i] LOOP
          result[j] := true;
        END LOOP;
      END IF;
      place := place + lengths[i]::integer;
      flag := NOT flag;
    END LOOP;
  END IF;
END $$;

CREATE FUNCTION chunk_bits_high_first(b bytea, at integer, count integer) RETURNS bigint
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  value  bigint := 0;
  left_  integer := count;
  taken  integer;
BEGIN
  WHILE left_ > 0 LOOP
    taken := least(8 - (at & 7), left_);
    value := (value << taken) | ((get_byte(b, at >> 3) >> (8 - (at & 7) - taken)) & ((1 << taken) - 1))::bigint;
    at := at + taken;
    left_ := left_ - taken;
  END LOOP;
  RETURN value;
END $$;

CREATE FUNCTION chunk_doubles(b bytea, pos integer, n integer, OUT result double precision[])
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  head      integer := get_byte(b, pos);
  codec     integer := head & 15;
  divisor   double precision := (ARRAY[1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15]
                                 ::double precision[])[(head >> 4) + 1];
  integers  bigint[];
  places    integer[] := '{}';
  values_   double precision[] := '{}';
  count     bigint;
  z         bigint;
  place     integer := 0;
  shift     integer;
  at        integer;
  bits      bigint;
  zeros_before   integer;
  length_   integer := 0;
  zeros_behind  integer := 0;
BEGIN
  pos := pos + 1;
  result := array_fill(0::double precision, ARRAY[n]);
  CASE codec
    WHEN 0 THEN
      FOR i IN 1 .. n LOOP
        result[i] := chunk_double(chunk_fixed64(b, pos + (i - 1) * 8));
      END LOOP;
    WHEN 1 THEN
      result := array_fill(chunk_double(chunk_fixed64(b, pos)), ARRAY[n]);
    WHEN 2, 3, 4, 5 THEN
      IF codec IN (3, 5) THEN
        SELECT r.pos, r.value INTO pos, count FROM chunk_varint(b, pos) r;
        FOR i IN 1 .. count LOOP
          SELECT r.pos, r.value INTO pos, z FROM chunk_varint(b, pos) r;
          place := place + z::integer + 1;
          places[i] := place;
          values_[i] := chunk_double(chunk_fixed64(b, pos));
          pos := pos + 8;
        END LOOP;
      END IF;
      integers := (chunk_integers(b, pos, n)).result;
      FOR i IN 1 .. n LOOP
        IF codec < 4 THEN
          result[i] := integers[i]::double precision / divisor;
        ELSE
          result[i] := (integers[i]::double precision / divisor)::real;
        END IF;
      END LOOP;
      FOR i IN 1 .. cardinality(places) LOOP
        result[places[i]] := values_[i];
      END LOOP;
    WHEN 6 THEN
      at := pos * 8;
      bits := chunk_bits_high_first(b, at, 64);
      at := at + 64;
      result[1] := chunk_double(bits);
      FOR i IN 2 .. n LOOP
        at := at + 1;
        IF chunk_bits_high_first(b, at - 1, 1) = 1 THEN
          at := at + 1;
          IF chunk_bits_high_first(b, at - 1, 1) = 1 THEN
            zeros_before := chunk_bits_high_first(b, at, 5)::integer;
            length_ := chunk_bits_high_first(b, at + 5, 6)::integer;
            IF length_ = 0 THEN
              length_ := 64;
            END IF;
            zeros_behind := 64 - zeros_before - length_;
            at := at + 11;
          END IF;
          bits := bits # (chunk_bits_high_first(b, at, length_) << zeros_behind);
          at := at + length_;
        END IF;
        result[i] := chunk_double(bits);
      END LOOP;
    WHEN 7 THEN
      shift := get_byte(b, pos);
      integers := (chunk_integers(b, pos + 1, n)).result;
      FOR i IN 1 .. n LOOP
        bits := integers[i] << shift;
        IF integers[i] < 0 THEN
          bits := (bits | ((1::bigint << shift) - 1)) # 9223372036854775807;
        END IF;
        result[i] := chunk_double(bits);
      END LOOP;
    ELSE
      RAISE EXCEPTION 'not a chunk' USING ERRCODE = 'data_corrupted';
  END CASE;
END $$;

CREATE FUNCTION chunk_texts(b bytea, pos integer, n integer, OUT result bytea[])
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  is_dictionary  boolean := get_byte(b, pos) = 1;
  distinct_      bytea[] := '{}';
  count          bigint := n;
  numbers        bigint[];
BEGIN
  pos := pos + 1;
  IF is_dictionary THEN
    SELECT r.pos, r.value INTO pos, count FROM chunk_varint(b, pos) r;
  END IF;
  SELECT r.pos, r.result INTO pos, numbers FROM chunk_integers(b, pos, count::integer) r;
  FOR i IN 1 .. count LOOP
    distinct_[i] := substring(b FROM pos + 1 FOR numbers[i]::integer);
    pos := pos + numbers[i]::integer;
  END LOOP;
  IF NOT is_dictionary THEN
    result := distinct_;
    RETURN;
  END IF;
  numbers := (chunk_integers(b, pos, n)).result;
  FOR i IN 1 .. n LOOP
    result[i] := distinct_[numbers[i] + 1];
  END LOOP;
END $$;

-- The position behind a column's statistics, which are not needed here.
CREATE FUNCTION chunk_skip_statistics(b bytea, pos integer) RETURNS integer
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  count  bigint;
  z      bigint;
BEGIN
  SELECT r.pos, r.value INTO pos, count FROM chunk_varint(b, pos) r;
  IF count <> 0 THEN
    FOR i IN 1 .. 3 LOOP
      IF get_byte(b, pos) = 255 THEN
        pos := pos + 9;
      ELSE
        SELECT r.pos, r.value INTO pos, z FROM chunk_varint(b, pos + 1) r;
      END IF;
    END LOOP;
  END IF;
  RETURN pos;
END $$;

-- The samples of a chunk's columns, or of those wanted. Columns of remarks, whose names begin with a zero byte, are left out.
CREATE FUNCTION chunk_samples(b bytea, wanted bytea[] DEFAULT NULL)
  RETURNS TABLE (column_key bytea, type smallint, recorded_ms bigint, double_value double precision, integer_value bigint,
                 boolean_value boolean, bytes_value bytea)
  LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 1000 AS $$
DECLARE
  rows_     bigint;
  columns_  bigint;
  size      bigint;
  z         bigint;
  times     bigint[];
  present   boolean[];
  doubles   double precision[];
  integers  bigint[];
  booleans  boolean[];
  texts     bytea[];
  pos       integer := 2;
  ends      integer;
  flags     integer;
  n         integer;
  at        integer;
BEGIN
  IF b IS NULL THEN
    RETURN;
  END IF;
  IF length(b) < 5 OR get_byte(b, 0) <> 83 OR get_byte(b, 1) <> 1 THEN
    RAISE EXCEPTION 'not a chunk' USING ERRCODE = 'data_corrupted';
  END IF;
  SELECT r.pos, r.value INTO pos, rows_ FROM chunk_varint(b, pos) r;
  SELECT r.pos, r.value INTO pos, columns_ FROM chunk_varint(b, pos) r;
  SELECT r.pos, r.value INTO pos, size FROM chunk_varint(b, pos) r;
  IF rows_ NOT BETWEEN 1 AND 1048576 OR columns_ < 0 OR size NOT BETWEEN 0 AND length(b) THEN
    RAISE EXCEPTION 'not a chunk' USING ERRCODE = 'data_corrupted';
  END IF;
  at := pos;
  pos := pos + size::integer;
  FOR i IN 1 .. columns_ LOOP
    SELECT r.pos, r.value INTO pos, size FROM chunk_varint(b, pos) r;
    column_key := substring(b FROM pos + 1 FOR size::integer);
    pos := pos + size::integer;
    flags := get_byte(b, pos);
    SELECT r.pos, r.value INTO pos, size FROM chunk_varint(b, pos + 1) r;
    ends := pos + size::integer;
    IF substring(column_key FROM 1 FOR 1) = '\x00' OR column_key <> ALL (wanted) THEN
      pos := ends;
      CONTINUE;
    END IF;
    IF times IS NULL THEN
      times := (chunk_integers(b, at, rows_::integer)).result;
    END IF;
    IF flags & 16 <> 0 THEN
      pos := chunk_skip_statistics(b, pos);
    END IF;
    n := rows_;
    present := NULL;
    IF flags & 8 <> 0 THEN
      SELECT r.pos, r.value INTO pos, z FROM chunk_varint(b, pos) r;
      n := z;
      SELECT r.pos, r.value INTO pos, size FROM chunk_varint(b, pos) r;
      present := (chunk_flags(b, pos, rows_::integer)).result;
      pos := pos + size::integer;
    END IF;
    type := flags & 7;
    doubles := NULL;
    integers := NULL;
    booleans := NULL;
    texts := NULL;
    CASE type
      WHEN 0 THEN doubles := chunk_doubles(b, pos, n);
      WHEN 1 THEN integers := (chunk_integers(b, pos, n)).result;
      WHEN 2 THEN booleans := (chunk_flags(b, pos, n)).result;
      ELSE texts := chunk_texts(b, pos, n);
    END CASE;
    n := 0;
    FOR j IN 1 .. rows_ LOOP
      CONTINUE WHEN NOT present[j];
      n := n + 1;
      recorded_ms := times[j];
      double_value := doubles[n];
      integer_value := integers[n];
      boolean_value := booleans[n];
      bytes_value := texts[n];
      RETURN NEXT;
    END LOOP;
    pos := ends;
  END LOOP;
END $$;

-- How a column of a chunk is called that holds a metric's values, and back.
CREATE FUNCTION column_of_metric(metric_key integer) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN ltrim(int4send(metric_key), '\x00'::bytea);
CREATE FUNCTION metric_of_column(column_key bytea) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (SELECT sum(get_byte(column_key, i)::bigint << 8 * (length(column_key) - 1 - i))
          FROM generate_series(0, length(column_key) - 1) i)::integer;

-- Texts as they are; bytes, and texts with a zero byte, which PostgreSQL's texts cannot hold, as hexadecimal digits.
CREATE FUNCTION text_of_sample(type smallint, bytes bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN CASE WHEN type = 3 AND position('\x00'::bytea IN bytes) = 0 THEN convert_from(bytes, 'UTF8') ELSE encode(bytes, 'hex') END;

CREATE FUNCTION time_of_sample(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN timestamptz '1970-01-01 00:00:00+00' + ms * interval '1 millisecond';

-- One device, one metric, from <= recorded_at < to; looks at nothing outside of those hours. `value` is a number or a truth
-- as 0 or 1; integers are exact in integer_value; texts are in text_value.
--
-- These functions read tables that their caller may not, and so look themselves whether the tenant is the session's.
CREATE FUNCTION samples(of_tenant text, of_device text, of_metric text, from_time timestamptz, to_time timestamptz)
  RETURNS TABLE (recorded_at timestamptz, value double precision, integer_value bigint, text_value text, unit text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10000 SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
  of_device_key  bigint;
  wanted         bytea[];
BEGIN
  SELECT device_key INTO of_device_key FROM devices WHERE tenant = of_tenant AND device = of_device AND may_see(tenant);
  SELECT array_agg(column_of_metric(metric_key)) INTO wanted FROM metrics WHERE tenant = of_tenant AND name = of_metric;
  IF of_device_key IS NULL OR wanted IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY
    SELECT time_of_sample(s.recorded_ms), coalesce(s.double_value, s.integer_value::double precision, s.boolean_value::integer),
           s.integer_value, text_of_sample(s.type, s.bytes_value), m.unit
    FROM (
      SELECT DISTINCT ON (c.recorded_ms, c.column_key) c.*
      FROM (
        SELECT 0::bigint AS flush_id, decoded.*
        FROM warm w CROSS JOIN LATERAL chunk_samples(w.chunk, wanted) decoded
        WHERE w.device_key = of_device_key AND w.event_hour >= date_trunc('hour', from_time, 'UTC') AND w.event_hour < to_time
        UNION ALL
        SELECT h.flush_id, decoded.*
        FROM hot h CROSS JOIN LATERAL chunk_samples(h.chunk, wanted) decoded
        WHERE h.device_key = of_device_key AND h.event_hour >= date_trunc('hour', from_time, 'UTC') AND h.event_hour < to_time
      ) c
      WHERE time_of_sample(c.recorded_ms) >= from_time AND time_of_sample(c.recorded_ms) < to_time
      ORDER BY c.recorded_ms, c.column_key, c.flush_id DESC
    ) s JOIN metrics m ON m.metric_key = metric_of_column(s.column_key)
    ORDER BY s.recorded_ms, s.type;
END $$;

-- Everything of one device in one event hour.
CREATE FUNCTION samples_of_hour(of_device_key bigint, of_hour timestamptz)
  RETURNS TABLE (metric_key integer, recorded_at timestamptz, value double precision, integer_value bigint, text_value text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000 SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (SELECT FROM devices WHERE device_key = of_device_key AND may_see(tenant)) THEN
    RETURN;
  END IF;
  RETURN QUERY
    SELECT metric_of_column(s.column_key), time_of_sample(s.recorded_ms),
           coalesce(s.double_value, s.integer_value::double precision, s.boolean_value::integer), s.integer_value,
           text_of_sample(s.type, s.bytes_value)
    FROM (
      SELECT DISTINCT ON (c.column_key, c.recorded_ms) c.*
      FROM (
        SELECT 0::bigint AS flush_id, decoded.*
        FROM warm w CROSS JOIN LATERAL chunk_samples(w.chunk) decoded
        WHERE w.device_key = of_device_key AND w.event_hour = of_hour
        UNION ALL
        SELECT h.flush_id, decoded.*
        FROM hot h CROSS JOIN LATERAL chunk_samples(h.chunk) decoded
        WHERE h.device_key = of_device_key AND h.event_hour = of_hour
      ) c
      ORDER BY c.column_key, c.recorded_ms, c.flush_id DESC
    ) s;
END $$;

-- All samples as rows. Decodes every hour that is left: give a device_id and, for a range of time, event_hour too, since
-- recorded_at is known only after decoding. For one metric of one device samples() is quicker.
CREATE VIEW device_telemetry AS
  SELECT d.device AS device_id, m.name AS metric_name, s.value, m.unit, s.recorded_at, s.integer_value, s.text_value, h.event_hour
  FROM devices d
  CROSS JOIN LATERAL (
    SELECT w.event_hour FROM warm w WHERE w.device_key = d.device_key
    UNION
    SELECT hot.event_hour FROM hot WHERE hot.device_key = d.device_key
  ) h
  CROSS JOIN LATERAL samples_of_hour(d.device_key, h.event_hour) s
  JOIN metrics m ON m.metric_key = s.metric_key
  WHERE may_see(d.tenant);
