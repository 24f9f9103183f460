//! Cores, and whether runtimes may stay awake on them.

use super::Finding;
use fmi::Config;

const CHECK: &str = "keep-awake";

/// Whether a runtime stays awake for a moment after a message, which saves waking it.
pub(super) fn keep_awake(config: &Config) -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    judge(config.keep_awake, cores, quota())
}

fn judge(wanted: bool, cores: usize, quota: Option<f64>) -> Finding {
    let have = match quota {
        Some(quota) => format!("{}, a CPU quota of {quota:.2}", plural(cores)),
        None => format!("{}, no CPU quota", plural(cores)),
    };
    const COST: &str = "waking a thread costs a message 40-120 us";
    if !wanted {
        return Finding::note(
            CHECK,
            format!("off by configuration ({have}): {COST}"),
            "set keep_awake = true, unless CPU time is dearer than latency",
        );
    }
    if quota.is_some_and(|quota| quota < 1.0) {
        return Finding::note(
            CHECK,
            format!("off ({have}): {COST}"),
            "give the container one core at least, or more memory where that brings CPU",
        );
    }
    let turns = 4 * cores;
    let on = format!(
        "on while no more than {cores} threads run ranks here, in turns up to {turns} ({have})"
    );
    Finding::ok(CHECK, on)
}

fn plural(cores: usize) -> String {
    if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") }
}

/// Cores that the control group grants, if it limits them.
fn quota() -> Option<f64> {
    parse(&std::fs::read_to_string("/sys/fs/cgroup/cpu.max").ok()?)
}

/// Reads `cpu.max`: quota and period in microseconds, or `max` for no quota.
fn parse(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota = quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?;
    quota.is_finite().then_some(quota)
}

#[cfg(test)]
mod tests {
    use super::{super::Status, *};

    #[test]
    fn quotas() {
        assert_eq!(parse("50000 100000\n"), Some(0.5));
        assert_eq!(parse("max 100000\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn less_than_a_core_or_a_setting_turns_it_off() {
        assert_eq!(judge(true, 2, None).status, Status::Ok);
        assert_eq!(judge(true, 2, Some(1.5)).status, Status::Ok);
        let half = judge(true, 2, Some(0.5));
        assert_eq!(half.status, Status::Note);
        assert!(half.detail.contains("2 cores, a CPU quota of 0.50"), "{}", half.detail);
        assert_eq!(judge(false, 1, None).status, Status::Note);
    }
}
