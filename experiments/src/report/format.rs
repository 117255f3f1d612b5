//! Number formatting, shared by the page and the console.

/// Shown for an undefined number (no data, or a correlation of constant values).
const ABSENT: &str = "n/a";

/// A fraction between 0 and 1 as percent, `92.10 %`.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.2} %", share * 100.0) } else { ABSENT.into() }
}

/// Milliseconds with three significant digits, `0.912 ms`.
pub(super) fn milliseconds(ms: f64) -> String {
    if ms.is_finite() { format!("{} ms", significant(ms, 3)) } else { ABSENT.into() }
}

/// A correlation, `0.83`.
pub(super) fn correlation(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { ABSENT.into() }
}

/// A large count with a decimal prefix and three significant digits: `812`, `48.3 k`, `1.23 M`.
pub(super) fn prefixed(count: u64) -> String {
    const PREFIXES: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    // 999_500 and above would otherwise round to `1000 k`.
    let large_enough = |unit: f64| count as f64 >= 0.9995 * unit;
    match PREFIXES.into_iter().find(|&(unit, _)| large_enough(unit)) {
        Some((unit, prefix)) => format!("{} {prefix}", significant(count as f64 / unit, 3)),
        None => count.to_string(),
    }
}

/// A wall time in the unit that reads best: `8.20 s`, `24.3 min`, `3.10 h`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => ABSENT.into(),
        s if s < 99.95 => format!("{} s", significant(s, 3)),
        s if s < 5997.0 => format!("{} min", significant(s / 60.0, 3)),
        s => format!("{} h", significant(s / 3600.0, 3)),
    }
}

/// An integer with thousands separators, `10,000`.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An integer of any length, given as decimal digits: `4,096`, or `2.18 × 10¹⁹` if it is long. Other text is kept.
pub(super) fn big_count(digits: &str) -> String {
    match digits.parse::<u64>() {
        Ok(count) if count < 10_000_000 => thousands(count),
        _ if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.to_owned(),
        _ => {
            // Digits always parse; beyond the range of f64 they become infinite, which `{:e}` prints as `inf`.
            let value: f64 = digits.parse().unwrap_or(f64::INFINITY);
            match format!("{value:.2e}").split_once('e') {
                Some((mantissa, exponent)) => format!("{mantissa} × 10{}", superscript(exponent)),
                None => format!("10{} or more", superscript(&(digits.len() - 1).to_string())),
            }
        }
    }
}

/// `value` rounded to `digits` significant digits, without an exponent.
pub(super) fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    // Round through `{:e}` first, so 9.996 counts as 10.0 when the number of decimals is chosen.
    let rounded: f64 = format!("{value:.*e}", (digits - 1) as usize).parse().unwrap_or(value);
    let exponent = rounded.abs().log10().floor() as i32;
    format!("{rounded:.*}", (digits - 1 - exponent).max(0) as usize)
}

fn superscript(digits: &str) -> String {
    const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    digits.chars().map(|c| c.to_digit(10).map_or(c, |digit| SUPERSCRIPTS[digit as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_percent_with_two_decimals() {
        assert_eq!(percent(0.921), "92.10 %");
        assert_eq!(percent(1.0), "100.00 %");
        assert_eq!(percent(f64::NAN), "n/a");
    }

    #[test]
    fn milliseconds_keep_three_significant_digits() {
        assert_eq!(milliseconds(0.91234), "0.912 ms");
        assert_eq!(milliseconds(9.996), "10.0 ms");
        assert_eq!(milliseconds(0.0999951), "0.100 ms");
        assert_eq!(milliseconds(123.4), "123 ms");
        assert_eq!(milliseconds(1234.0), "1230 ms");
        assert_eq!(milliseconds(0.0), "0 ms");
        assert_eq!(milliseconds(f64::INFINITY), "n/a");
    }

    #[test]
    fn counts_get_a_prefix_and_carry_into_the_next() {
        assert_eq!(prefixed(812), "812");
        assert_eq!(prefixed(48_321), "48.3 k");
        assert_eq!(prefixed(1_234_567), "1.23 M");
        assert_eq!(prefixed(999_499), "999 k");
        assert_eq!(prefixed(999_500), "1.00 M");
        assert_eq!(prefixed(595_000_000_000), "595 G");
    }

    #[test]
    fn durations_choose_their_unit() {
        assert_eq!(duration(0.5), "0.500 s");
        assert_eq!(duration(99.949), "99.9 s");
        assert_eq!(duration(99.96), "1.67 min");
        assert_eq!(duration(1458.0), "24.3 min");
        assert_eq!(duration(11_160.0), "3.10 h");
    }

    #[test]
    fn big_counts_become_scientific() {
        assert_eq!(big_count("4096"), "4,096");
        assert_eq!(big_count("1000000"), "1,000,000");
        assert_eq!(big_count("21800000000000000000"), "2.18 × 10¹⁹");
        assert_eq!(big_count(&"9".repeat(400)), "10³⁹⁹ or more");
        assert_eq!(big_count("about 2e19"), "about 2e19");
        assert_eq!(big_count(""), "");
    }
}
