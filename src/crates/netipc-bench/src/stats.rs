//! What many rounds say: the middle, and how far apart they lie.

use serde::Serialize;

/// The middle and the extremes of some figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Median absolute deviation from the median: a spread that one bad round cannot blow up.
    pub(crate) mad: f64,
}

impl Summary {
    /// Sums up `figures`; `None` if there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        let median = median(&mut figures)?;
        let (min, max) = (*figures.first()?, *figures.last()?);
        let mut deviations: Vec<f64> = figures.iter().map(|f| (f - median).abs()).collect();
        let mad = self::median(&mut deviations)?;
        Some(Summary { median, min, max, mad })
    }
}

/// The middle of `figures`, or the mean of the two middle ones. Sorts them.
fn median(figures: &mut [f64]) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = *figures.get(middle)?;
    Some(if figures.len() % 2 == 1 { upper } else { (figures[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_figures_have_no_summary() {
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn the_median_of_an_odd_count_is_the_middle_one() {
        let summary = Summary::of([9.0, 1.0, 5.0]).unwrap();
        assert_eq!((summary.median, summary.min, summary.max), (5.0, 1.0, 9.0));
        assert_eq!(summary.mad, 4.0);
    }

    #[test]
    fn the_median_of_an_even_count_lies_between_the_middle_two() {
        assert_eq!(Summary::of([4.0, 1.0, 100.0, 2.0]).unwrap().median, 3.0);
    }

    #[test]
    fn one_bad_round_moves_the_extreme_and_not_the_spread() {
        let summary = Summary::of([10.0, 11.0, 10.0, 11.0, 900.0]).unwrap();
        assert_eq!((summary.median, summary.max, summary.mad), (11.0, 900.0, 1.0));
    }
}
