//! The time of an audit event.

use jiff::civil::DateTime;

/// What the host takes as "now": Kubernetes leaves the time out of an event by writing the year 1.
const HOST_TIME: u64 = u64::MAX;

/// Seconds from 1970 back to the first second of the year 1.
const YEAR_ONE: i64 = -62_135_596_800;

/// Reads a time as Go's `time.Parse(time.RFC3339Nano, ..)` does; returns nanoseconds since 1970.
///
/// Go takes more than RFC 3339 (a comma before the fraction, hours of one digit, zones of 24 hours) and less (`T` and
/// `Z` are upper case, no leap second). A time outside the years 1678 to 2262 wraps around, as it does there.
///
/// Source: `k8saudit` 0.18.0, `source.go`; Go `time/format.go`.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    literal(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    literal(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    literal(&mut rest, b"T")?;
    let hour = digits(&mut rest, 2).or_else(|| digits(&mut rest, 1))?;
    literal(&mut rest, b":")?;
    let minute = digits(&mut rest, 2)?;
    literal(&mut rest, b":")?;
    let second = digits(&mut rest, 2)?;
    let nanosecond = fraction(&mut rest);
    let offset_seconds = zone(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }

    let small = |number: i64| i8::try_from(number).ok();
    let local = DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        0,
    )
    .ok()?;
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let seconds = epoch.duration_until(local).as_secs() - offset_seconds;
    if (seconds, nanosecond) == (YEAR_ONE, 0) {
        return Some(HOST_TIME);
    }
    Some(seconds.wrapping_mul(1_000_000_000).wrapping_add(nanosecond).cast_unsigned())
}

/// Takes exactly `count` digits.
fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(count)?;
    let number = head.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })?;
    *rest = tail;
    Some(number)
}

fn literal(rest: &mut &[u8], text: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(text)?;
    Some(())
}

/// Takes a fraction of a second, if there is one; what is below a nanosecond is cut off.
fn fraction(rest: &mut &[u8]) -> i64 {
    let [b'.' | b',', tail @ ..] = *rest else { return 0 };
    let length = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return 0;
    }
    let (fraction, tail) = tail.split_at(length);
    *rest = tail;
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
}

/// Takes the zone; returns how many seconds it is ahead of UTC.
fn zone(rest: &mut &[u8]) -> Option<i64> {
    if literal(rest, b"Z").is_some() {
        return Some(0);
    }
    let sign = literal(rest, b"+").map(|()| 1).or_else(|| literal(rest, b"-").map(|()| -1))?;
    let hours = digits(rest, 2)?;
    literal(rest, b":")?;
    let minutes = digits(rest, 2)?;
    // Go lets both bounds in, since some people write 24:00.
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(parse(text.as_bytes()), expected, "{text}");
    }

    /// P10 to P12
    #[test]
    fn times_that_go_reads() {
        check("2024-01-02T03:04:05.123456Z", Some(1_704_164_645_123_456_000));
        check("2024-01-02T03:04:05+02:00", Some(1_704_157_445_000_000_000));
        check("2024-01-02T03:04:05-00:30", Some(1_704_166_445_000_000_000));
        check("2024-01-02T03:04:05,5Z", Some(1_704_164_645_500_000_000));
        check("2024-01-02T3:04:05Z", Some(1_704_164_645_000_000_000));
        check("2024-03-02T03:04:19.1234567891Z", Some(1_709_348_659_123_456_789));
        check("2024-03-02T03:04:23+24:00", Some(1_709_262_263_000_000_000));
        check("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000_000));
        check("1970-01-01T00:00:01Z", Some(1_000_000_000));
    }

    /// P14
    #[test]
    fn the_year_one_means_now_and_far_times_wrap() {
        check("0001-01-01T00:00:00Z", Some(u64::MAX));
        check("0001-01-01T02:00:00+02:00", Some(u64::MAX));
        check("1969-12-31T23:59:59Z", Some((-1_000_000_000_i64).cast_unsigned()));
        check("9999-12-31T23:59:59Z", Some((-4_852_116_232_933_722_624_i64).cast_unsigned()));
    }

    /// P13
    #[test]
    fn times_that_go_does_not_read() {
        for text in [
            "",
            "2024-01-02",
            "2024-01-02t03:04:05Z",
            "2024-01-02 03:04:05Z",
            "2024-01-02T03:04:05z",
            "2024-01-02T03:04:05",
            "2024-01-02T03:04:05+0200",
            "2024-01-02T03:04:05+25:00",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:60Z",
            "2024-01-02T03:4:05Z",
            "2024-01-02T24:04:05Z",
            "2024-02-30T03:04:05Z",
            "2024-1-02T03:04:05Z",
            "24-01-02T03:04:05Z",
            "2024-01-02T03:04:05Z ",
            " 2024-01-02T03:04:05Z",
        ] {
            check(text, None);
        }
    }
}
