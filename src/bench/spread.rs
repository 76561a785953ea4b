//! Medians and quartiles of contenders that are timed in turn.

use std::time::Instant;

use super::Error;

/// Something whose steps are timed.
pub(super) trait Contender {
    /// What has to be ready before a step and is no part of it.
    fn prepare(&mut self) {}

    /// What is timed.
    fn step(&mut self) -> Result<(), Error>;

    /// Weights reset by the steps so far.
    fn resets(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

/// The seconds of one contender over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The lower quartile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The upper quartile.
    pub high: f64,
}

impl Spread {
    /// The spread of `seconds`, of which there is at least one.
    pub(super) fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let [low, median, high] = [1, 2, 3].map(|quarter| seconds[seconds.len() * quarter / 4]);
        Spread { low, median, high }
    }
}

/// `value` to four significant digits, more than a time has.
pub(super) fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().expect("a float reads what it wrote")
}

/// Times the steps of all contenders in turn, `rounds` times after one round that is not counted, so
/// that whatever else the machine does meets all of them alike.
pub(super) fn in_turn(
    rounds: usize,
    contenders: &mut [Box<dyn Contender>],
) -> Result<Vec<Spread>, Error> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            contender.prepare();
            let start = Instant::now();
            contender.step()?;
            if round > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    Ok(times.into_iter().map(Spread::of).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_spread_has_the_median_between_its_quartiles() {
        let spread = Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 3.0, high: 4.0 });
    }

    #[test]
    fn numbers_are_written_with_four_digits() {
        assert_eq!(rounded(1234.56), 1235.0);
        assert_eq!(rounded(0.000123456), 0.0001235);
        assert_eq!(rounded(0.0), 0.0);
    }

    #[test]
    fn every_contender_steps_once_a_round_and_once_before() {
        struct Counter(Rc<Cell<usize>>);
        impl Contender for Counter {
            fn step(&mut self) -> Result<(), Error> {
                self.0.set(self.0.get() + 1);
                Ok(())
            }
        }
        let count = Rc::new(Cell::new(0));
        let counter = || Box::new(Counter(count.clone())) as Box<dyn Contender>;
        assert_eq!(in_turn(3, &mut [counter(), counter()]).unwrap().len(), 2);
        assert_eq!(count.get(), 8);
    }
}
