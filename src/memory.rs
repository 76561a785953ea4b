//! How much memory there is for what a file says it holds.
//!
//! Zeros compress to nothing and a view may show one value a billion times: neither is wrong, so the
//! size of a file bounds nothing. What it declares is held against the machine instead, before it is
//! made.

use std::fs;

/// More memory than there is.
#[derive(Debug, thiserror::Error)]
#[error("takes {wanted} bytes of memory, and there are {there}")]
pub struct TooMuch {
    /// What it takes.
    pub wanted: u64,
    /// What this machine has free.
    pub there: u64,
}

/// Makes sure that `wanted` bytes of memory are free.
pub(crate) fn check(wanted: u64) -> Result<(), TooMuch> {
    // Asking costs more than a small array does.
    if wanted <= 16 << 20 {
        return Ok(());
    }
    match available() {
        Some(there) if wanted > there => Err(TooMuch { wanted, there }),
        _ => Ok(()),
    }
}

/// The memory that this process may still take, where the system says so: of the machine, and of the
/// group of processes that it runs in (Slurm, containers).
fn available() -> Option<u64> {
    let of_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| free_in(&text));
    let group = |name: &str| -> Option<u64> {
        fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    let of_group = group("memory.max")
        .zip(group("memory.current"))
        .map(|(most, taken)| most.saturating_sub(taken));
    of_machine.into_iter().chain(of_group).min()
}

/// What `/proc/meminfo` says is available, in bytes.
fn free_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_memory_is_what_the_system_says() {
        assert_eq!(free_in("MemTotal: 9 kB\nMemAvailable:   23068672 kB\n"), Some(22 << 30));
        assert_eq!(free_in("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn more_than_any_machine_has_is_refused_with_both_numbers() {
        assert!(check(1 << 20).is_ok());
        let refused = check(1 << 60).unwrap_err().to_string();
        assert!(
            refused.starts_with("takes 1152921504606846976 bytes of memory, and "),
            "{refused}"
        );
    }
}
