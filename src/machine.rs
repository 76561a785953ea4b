//! What computes, as far as the rounding of sums depends on it.
//!
//! A sum of floating-point numbers depends on its order, and libtorch chooses the order by the CPU and its
//! vectors. Whoever compares numbers bit for bit has to know on what both were computed.

use std::env;
use std::fs;
use std::sync::OnceLock;

/// Settings of the environment that choose other instructions than the CPU's best.
const CHOICES: [&str; 5] = [
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
];

/// This machine in words: `AMD EPYC (family 25, model 17), AVX-512`, and what of the environment chooses
/// other instructions.
pub(crate) fn here() -> &'static str {
    static HERE: OnceLock<String> = OnceLock::new();
    HERE.get_or_init(|| {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let choice = |name| Some(format!(", {name}={}", env::var(name).ok()?));
        let choices: String = CHOICES.into_iter().filter_map(choice).collect();
        format!("{}, {}{choices}", cpu(&cpuinfo), vectors())
    })
}

/// The CPU that `/proc/cpuinfo` names.
fn cpu(cpuinfo: &str) -> String {
    let value = |name: &str| {
        let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    match (value("model name"), value("cpu family"), value("model")) {
        (Some(name), Some(family), Some(model)) => {
            format!("{name} (family {family}, model {model})")
        }
        (name, ..) => name.unwrap_or("an unknown CPU").to_owned(),
    }
}

/// The widest vectors of this CPU.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "AVX2";
        }
    }
    "no wide vectors"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_called_by_its_name_and_its_numbers() {
        let cpuinfo = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n\
                       model name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: another\n";
        assert_eq!(cpu(cpuinfo), "AMD EPYC (family 25, model 17)");
        assert_eq!(cpu(""), "an unknown CPU");
    }

    #[test]
    fn a_machine_is_the_same_whenever_it_is_asked_for() {
        assert_eq!(here(), here());
        assert!(here().contains(", "), "{}", here());
    }
}
