//! Times to an event that not all reach: the Kaplan–Meier median and the log-rank test.
//!
//! A run that never reached the threshold is no missing value: it says that its time is longer than
//! it was watched. It is *censored* there, and counts among those at risk until then.

use super::interval::{CONFIDENCE, Interval, normal_below, normal_quantile};

/// One run: how long it was watched, and whether the event ended that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    /// Until the event, or until the run was last seen without it.
    pub time: f64,
    /// Whether the event came.
    pub reached: bool,
}

/// What the log-rank test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogRank {
    /// Squared difference of the events observed and expected in one group, over its variance.
    pub statistic: f64,
    /// The two-sided p value, from the χ² distribution with one degree of freedom.
    pub p: f64,
}

/// Shares this near one half are one half: products round.
const ROUNDING: f64 = 1e-9;

/// The Kaplan–Meier estimate of the median time and its interval. `None` when there is no run or a time
/// is NaN.
///
/// The median is the first time by which at least half are estimated to have reached the event, and
/// infinite where that never is; likewise the ends, where the pointwise interval of the curve reaches one
/// half (Brookmeyer and Crowley's interval from the log(−log) interval with Greenwood's variance).
///
/// **Source:** E. L. Kaplan and P. Meier, "Nonparametric estimation from incomplete observations",
/// Journal of the American Statistical Association 53 (1958); R. Brookmeyer and J. Crowley, Biometrics 38
/// (1982). Agrees with lifelines, and with R's `survfit(conf.type = "log-log")` but for its midpoints.
pub fn median(times: &[Time]) -> Option<Interval> {
    if times.is_empty() || times.iter().any(|run| run.time.is_nan()) {
        return None;
    }
    let z = normal_quantile(0.5 + CONFIDENCE / 2.0);
    let (mut share, mut variance) = (1.0, 0.0);
    let mut found = [f64::INFINITY; 3];
    for Tie { time, events, at_risk } in ties(&[times]) {
        let (events, at_risk) = (events[0], at_risk[0]);
        share *= 1.0 - events / at_risk;
        variance += events / (at_risk * (at_risk - events));
        let reach = z * variance.sqrt() / share.ln();
        let bound = |reach: f64| if share > 0.0 { share.powf(reach.exp()) } else { 0.0 };
        for (found, curve) in found.iter_mut().zip([share, bound(-reach), bound(reach)]) {
            if found.is_infinite() && curve <= 0.5 + ROUNDING {
                *found = time;
            }
        }
    }
    Some(Interval { estimate: found[0], low: found[1], high: found[2] })
}

/// The log-rank test that two groups reach the event alike. `None` when a group is empty, a time is NaN,
/// or no event tells them apart.
///
/// **Source:** N. Mantel, Cancer Chemotherapy Reports 50 (1966), with the hypergeometric variance; agrees
/// with lifelines' `logrank_test` and R's `survdiff`.
pub fn log_rank(first: &[Time], second: &[Time]) -> Option<LogRank> {
    let groups = [first, second];
    if groups.iter().any(|group| group.is_empty() || group.iter().any(|run| run.time.is_nan())) {
        return None;
    }
    let (mut surplus, mut variance) = (0.0, 0.0);
    for Tie { events, at_risk, .. } in ties(&groups) {
        let (all_events, all) = (events[0] + events[1], at_risk[0] + at_risk[1]);
        let share = at_risk[0] / all;
        surplus += events[0] - all_events * share;
        if all > 1.0 {
            variance += all_events * share * (1.0 - share) * (all - all_events) / (all - 1.0);
        }
    }
    (variance > 0.0).then(|| {
        let statistic = surplus * surplus / variance;
        LogRank { statistic, p: 2.0 * normal_below(-statistic.sqrt()) }
    })
}

/// A time at which an event came.
struct Tie {
    time: f64,
    /// Events then, and runs not yet ended before then, in each group.
    events: [f64; 2],
    at_risk: [f64; 2],
}

/// The times of events, rising, over one or two groups.
fn ties(groups: &[&[Time]]) -> Vec<Tie> {
    let mut runs: Vec<(usize, Time)> = Vec::new();
    for (group, times) in groups.iter().enumerate() {
        runs.extend(times.iter().map(|run| (group, *run)));
    }
    runs.sort_by(|a, b| a.1.time.total_cmp(&b.1.time));
    let mut at_risk = [0.0; 2];
    runs.iter().for_each(|(group, _)| at_risk[*group] += 1.0);
    let mut found = Vec::new();
    for tie in runs.chunk_by(|a, b| a.1.time == b.1.time) {
        let mut events = [0.0; 2];
        for (group, run) in tie {
            events[*group] += f64::from(u8::from(run.reached));
        }
        if events != [0.0; 2] {
            found.push(Tie { time: tie[0].1.time, events, at_risk });
        }
        tie.iter().for_each(|(group, _)| at_risk[*group] -= 1.0);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(reached: &[u32], censored: &[u32]) -> Vec<Time> {
        let run = |reached| move |time: &u32| Time { time: f64::from(*time), reached };
        reached.iter().map(run(true)).chain(censored.iter().map(run(false))).collect()
    }

    /// Weeks of remission in acute leukemia under 6-mercaptopurine and under placebo: E. J. Freireich
    /// et al., Blood 21 (1963), the example of most textbooks.
    fn remission() -> [Vec<Time>; 2] {
        let treated = runs(
            &[6, 6, 6, 7, 10, 13, 16, 22, 23],
            &[6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35],
        );
        let placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23];
        [treated, runs(&placebo, &[])]
    }

    fn late() -> Vec<Time> {
        runs(&[3, 5, 5, 9, 14, 14, 40], &[100; 9])
    }

    fn ends(times: &[Time]) -> [f64; 3] {
        let Interval { estimate, low, high } = median(times).unwrap();
        [estimate, low, high]
    }

    // k = lifelines.KaplanMeierFitter().fit(times, reached)
    // k.median_survival_time_, lifelines.utils.median_survival_times(k.confidence_interval_)
    #[test]
    fn medians_of_the_published_example_are_lifelines() {
        let [treated, placebo] = remission();
        assert_eq!(ends(&treated), [23.0, 13.0, f64::INFINITY]);
        assert_eq!(ends(&placebo), [8.0, 4.0, 11.0]);
        assert_eq!(ends(&late()), [f64::INFINITY, 9.0, f64::INFINITY]);
    }

    // lifelines.statistics.logrank_test(times, other, reached, other_reached)
    #[test]
    fn log_rank_tests_of_the_published_example_are_lifelines() {
        let [treated, placebo] = remission();
        for (first, second, statistic, p) in [
            (&treated, &placebo, 16.792940989216547, 4.168809109334511e-05),
            (&placebo, &late(), 16.502912165417833, 4.8575408792067e-05),
            (&treated, &late(), 0.26412854302744115, 0.6072978723571438),
        ] {
            let found = log_rank(first, second).unwrap();
            approx::assert_relative_eq!(found.statistic, statistic, max_relative = 1e-9);
            approx::assert_relative_eq!(found.p, p, max_relative = 1e-9);
            let turned = log_rank(second, first).unwrap();
            approx::assert_relative_eq!(turned.p, found.p, max_relative = 1e-9);
        }
    }

    #[test]
    fn without_censoring_the_median_is_that_of_the_times() {
        assert_eq!(median(&runs(&[4, 1, 3, 2, 5], &[])).unwrap().estimate, 3.0);
        assert_eq!(median(&runs(&(1..=50).collect::<Vec<_>>(), &[])).unwrap().estimate, 25.0);
    }

    #[test]
    fn where_nobody_reaches_the_event_nothing_is_bounded_and_nothing_compared() {
        let never = runs(&[], &[100; 20]);
        assert_eq!(ends(&never), [f64::INFINITY; 3]);
        assert_eq!(log_rank(&never, &never), None);
    }

    #[test]
    fn no_run_or_no_number_has_no_answer() {
        let broken = [Time { time: f64::NAN, reached: true }];
        assert_eq!((median(&[]), median(&broken)), (None, None));
        assert_eq!((log_rank(&late(), &[]), log_rank(&late(), &broken)), (None, None));
    }
}
