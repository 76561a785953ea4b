//! The values that a claim compares: one for each observation and arm.

use std::collections::{BTreeSet, HashMap};

use super::said::{Claim, Unit};
use crate::results::report::Measure;
use crate::results::table::{CurveIndex, SOURCE_SEED, Trial};
use crate::results::{About, BySeed};
use crate::stats::Ratio;

/// A place of the grid: the values of its settings, in the order of the claim's settings.
type Point = Vec<u64>;

/// The values of both arms at the settings of a claim.
pub(super) struct Sample<'a> {
    settings: Vec<(&'a str, Vec<u64>)>,
    arms: [Values; 2],
}

/// The values of one arm by place, source and seed.
#[derive(Default)]
struct Values {
    known: HashMap<(Point, Option<u64>, u64), Ratio>,
    sources: BTreeSet<Option<u64>>,
    seeds: BTreeSet<u64>,
}

impl<'a> Sample<'a> {
    /// The values of `measure` that `claim` asks for.
    pub(super) fn new(
        claim: &'a Claim,
        measure: Measure,
        about: &'a About,
        trials: &[Trial],
        curves: &CurveIndex,
    ) -> Self {
        let asked =
            |name: &str, all: &[u64]| claim.at.get(name).map_or(all, Vec::as_slice).to_vec();
        let settings: Vec<(&str, Vec<u64>)> =
            about.swept.iter().map(|(name, all)| (name.as_str(), asked(name, all))).collect();
        let sources = claim.at.get(SOURCE_SEED);
        let arms = claim.arms.each_ref().map(|arm| {
            let mut values = Values::default();
            for trial in trials.iter().filter(|trial| trial.key.arm == *arm) {
                let source = trial.key.setting(SOURCE_SEED).map(|seed| seed as u64);
                let is_asked =
                    source.is_none_or(|seed| sources.is_none_or(|asked| asked.contains(&seed)));
                let point: Option<Point> = settings
                    .iter()
                    .map(|(name, _)| trial.key.setting(name).map(|value| value as u64))
                    .collect();
                if let (true, Some(point)) = (is_asked, point) {
                    values.add(trial, point, source, measure.exact(trial, curves));
                }
            }
            values
        });
        Sample { settings, arms }
    }

    /// One value an observation of `unit` that both arms have whole, by seed or by the source's seed.
    pub(super) fn by(&self, unit: Unit) -> [BySeed; 2] {
        let points = self.points();
        match unit {
            Unit::Seed => self.arms.each_ref().map(|arm| {
                let of = |seed: &u64| Some(((*seed).into(), arm.over_sources(&points, *seed)?));
                arm.seeds.iter().filter_map(of).collect()
            }),
            Unit::SourceSeed => {
                let sources: BTreeSet<u64> =
                    self.arms.iter().flat_map(|arm| &arm.sources).flatten().copied().collect();
                let mut found = [BySeed::new(), BySeed::new()];
                for source in sources {
                    for (found, mean) in found.iter_mut().zip(self.over_seeds(&points, source)) {
                        found.extend(mean.map(|mean| (source.into(), mean)));
                    }
                }
                found
            }
        }
    }

    /// The means of both arms over the seeds that both have with the source of the seed `source`.
    fn over_seeds(&self, points: &[Point], source: u64) -> [Option<Ratio>; 2] {
        let [first, second] = &self.arms;
        let twins: Vec<[Ratio; 2]> = first
            .seeds
            .iter()
            .filter_map(|seed| {
                let value = |arm: &Values| arm.over_points(points, arm.source_for(source), *seed);
                Some([value(first)?, value(second)?])
            })
            .collect();
        [0, 1].map(|arm| Ratio::mean(twins.iter().map(|twins| twins[arm])))
    }

    /// Every place of the grid.
    fn points(&self) -> Vec<Point> {
        let longer = |points: Vec<Point>, (_, values): &(&str, Vec<u64>)| -> Vec<Point> {
            let with = |point: &Point, value: &u64| [point.as_slice(), &[*value]].concat();
            points
                .iter()
                .flat_map(|point| values.iter().map(move |value| with(point, value)))
                .collect()
        };
        self.settings.iter().fold(vec![Point::new()], longer)
    }
}

impl Values {
    fn add(&mut self, trial: &Trial, point: Point, source: Option<u64>, value: Option<Ratio>) {
        self.sources.insert(source);
        self.seeds.insert(trial.key.seed);
        if let Some(value) = value {
            self.known.insert((point, source, trial.key.seed), value);
        }
    }

    /// How the source of the seed `source` stands here: an arm that takes nothing from a source is the
    /// same beside every one.
    fn source_for(&self, source: u64) -> Option<u64> {
        Some(source).filter(|source| self.sources.contains(&Some(*source)))
    }

    /// The mean over the places, where there is a value at each.
    fn over_points(&self, points: &[Point], source: Option<u64>, seed: u64) -> Option<Ratio> {
        let at = |point: &Point| self.known.get(&(point.clone(), source, seed)).copied();
        let values: Option<Vec<Ratio>> = points.iter().map(at).collect();
        Ratio::mean(values?)
    }

    /// The mean over the places and the sources of the arm.
    fn over_sources(&self, points: &[Point], seed: u64) -> Option<Ratio> {
        let of = |source: &Option<u64>| self.over_points(points, *source, seed);
        let means: Option<Vec<Ratio>> = self.sources.iter().map(of).collect();
        Ratio::mean(means?)
    }
}
