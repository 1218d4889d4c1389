//! What was measured, and what is said of it.

use std::path::Path;

use crate::Failure;

/// What a number is about. The words are those of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// The question.
    pub(crate) group: &'static str,
    /// What is compared with each other within it.
    pub(crate) set: String,
    /// Who was measured.
    pub(crate) side: &'static str,
    /// How many entries there were.
    pub(crate) entries: usize,
    /// Of the number.
    pub(crate) unit: &'static str,
}

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) case: Case,
    pub(crate) round: usize,
    pub(crate) value: f64,
}

/// What the rounds of one case say together.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) case: Case,
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// By round, for ratios within the same round.
    by_round: Vec<(usize, f64)>,
}

impl Summary {
    /// The median, over the rounds, of this side's time divided by the other's in the same round.
    pub(crate) fn ratio_to(&self, other: &Summary) -> f64 {
        let ratios = self.by_round.iter().filter_map(|(round, value)| {
            let other = other.by_round.iter().find(|(other, _)| other == round);
            other.map(|(_, other)| value / other)
        });
        median(ratios.collect())
    }
}

/// One summary for each case of a group, in the order in which they were measured first.
pub(crate) fn summaries(samples: &[Sample], group: &str) -> Vec<Summary> {
    let mut cases: Vec<&Case> = Vec::new();
    for Sample { case, .. } in samples.iter().filter(|sample| sample.case.group == group) {
        if !cases.contains(&case) {
            cases.push(case);
        }
    }
    let summary = |case: &Case| {
        let of_case = samples.iter().filter(|sample| sample.case == *case);
        let by_round: Vec<(usize, f64)> = of_case.map(|sample| (sample.round, sample.value)).collect();
        let values: Vec<f64> = by_round.iter().map(|(_, value)| *value).collect();
        Summary {
            case: case.clone(),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(0.0, f64::max),
            median: median(values),
            by_round,
        }
    };
    cases.into_iter().map(summary).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// Writes all of it to `raw.csv` in a folder, one line a measurement.
pub(crate) fn save(folder: &Path, samples: &[Sample]) -> Result<(), Failure> {
    let mut file = csv::Writer::from_path(folder.join("raw.csv"))?;
    file.write_record(["group", "set", "side", "entries", "round", "value", "unit"])?;
    for Sample { case: Case { group, set, side, entries, unit }, round, value } in samples {
        let (entries, round, value) = (entries.to_string(), round.to_string(), format!("{value:.3}"));
        file.write_record([group, &**set, side, &entries, &round, &value, unit])?;
    }
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(side: &'static str, round: usize, value: f64) -> Sample {
        Sample { case: Case { group: "g", set: "s".to_owned(), side, entries: 1, unit: "ns" }, round, value }
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The second round ran on a busy machine: it slowed both alike.
        let samples = [(1, 10.0, 12.0), (2, 100.0, 130.0), (3, 10.0, 11.0)]
            .into_iter()
            .flat_map(|(round, a, b)| [sample("a", round, a), sample("b", round, b)]);
        let samples: Vec<Sample> = samples.collect();
        let summaries = summaries(&samples, "g");
        assert_eq!((summaries[1].median, summaries[1].min, summaries[1].max), (12.0, 11.0, 130.0));
        assert!((summaries[1].ratio_to(&summaries[0]) - 1.2).abs() < 1e-9);
    }

    #[test]
    fn a_line_of_csv_for_each_measurement() {
        let folder = tempfile::tempdir().expect("a folder");
        save(folder.path(), &[sample("a, of two tiers", 1, 2.5)]).expect("it is written");
        let lines = std::fs::read_to_string(folder.path().join("raw.csv")).expect("it is there");
        assert_eq!(lines.lines().nth(1), Some("g,s,\"a, of two tiers\",1,1,2.500,ns"));
    }
}
