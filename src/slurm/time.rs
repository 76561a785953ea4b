//! Times as Slurm writes them.

use std::str::FromStr;

/// How long a task may run, in seconds; 0 for as long as the partition allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Walltime(pub u64);

impl FromStr for Walltime {
    type Err = String;

    /// `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes` and
    /// `days-hours:minutes:seconds`, as `man sbatch` has them, or `UNLIMITED`.
    fn from_str(text: &str) -> Result<Self, String> {
        if ["unlimited", "infinite"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Ok(Walltime(0));
        }
        let seconds = || -> Option<u64> {
            let (days, rest) = match text.split_once('-') {
                Some((days, rest)) => (days.parse::<u64>().ok()?, rest),
                None => (0, text),
            };
            let parts: Vec<u64> =
                rest.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
            let (hours, minutes, seconds) = match (text.contains('-'), &parts[..]) {
                (true, [hours]) => (*hours, 0, 0),
                (true, [hours, minutes]) => (*hours, *minutes, 0),
                (false, [minutes]) => (0, *minutes, 0),
                (false, [minutes, seconds]) => (0, *minutes, *seconds),
                (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
                _ => return None,
            };
            let hours = days.checked_mul(24)?.checked_add(hours)?;
            let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
            minutes.checked_mul(60)?.checked_add(seconds)
        };
        seconds().map(Walltime).ok_or_else(|| {
            format!("expected a time as `30`, `2:00:00` or `1-12` (minutes, h:m:s, days-hours), got `{text}`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_slurm_reads_it() {
        for (text, seconds) in [
            ("30", 30 * 60),
            ("1:30", 90),
            ("2:00:05", 7205),
            ("1-12", 36 * 3600),
            ("1-0:30", 86_400 + 1800),
            ("2-1:02:03", 2 * 86_400 + 3723),
            ("UNLIMITED", 0),
        ] {
            assert_eq!(text.parse(), Ok(Walltime(seconds)), "{text}");
        }
        for wrong in ["", "soon", "1:2:3:4", "-1", "1-", "99999999999999999999", "1.5"] {
            assert!(wrong.parse::<Walltime>().is_err(), "{wrong}");
        }
    }
}
