//! Plots of a run: how far hits in a process were behind, and its course.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, ChartBuilder, Color, DrawingArea, IntoDrawingArea, IntoFont, IntoLogRange, LineSeries, Palette,
    Palette99, Rectangle, SVGBackend, Text, WHITE,
};

use crate::run::{Outcome, Window};
use crate::tally::Distribution;

type Failure = Box<dyn Error + Send + Sync>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// In pixels.
const WIDTH: u32 = 960;
const HEIGHT: u32 = 400;

/// 13 pixels for each kind of fault, and as much as a margin above and below.
const ROW: u32 = 13;

/// A second has so many microseconds.
const SECOND_US: f64 = 1e6;

/// What part of the hits that were behind was behind by more than this.
pub(crate) fn staleness(behind: &Distribution) -> Result<String, Failure> {
    let count = behind.count().max(1) as f64;
    let mut left = behind.count();
    let mut points = Vec::new();
    for (us, times) in behind.buckets() {
        points.push((us.max(1) as f64 / 1e3, left as f64 / count));
        left -= times;
    }
    let lowest = 0.5 / count;
    svg(HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(80)
            .build_cartesian_2d((1e-3..2e3).log_scale(), (lowest..1.0).log_scale())?;
        let percent = |part: &f64| format!("{} %", part * 100.0);
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("behind by more than so many milliseconds")
            .y_desc("of the hits that were behind; 1,000 ms are allowed")
            .y_label_formatter(&percent)
            .draw()?;
        let color = Palette99::pick(0).to_rgba();
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
        let allowed = [(SECOND_US / 1e3, lowest), (SECOND_US / 1e3, 1.0)];
        chart.draw_series(LineSeries::new(allowed, Palette99::pick(3).stroke_width(2)))?;
        Ok(())
    })
}

/// Reads a second, the longest staleness in it, and what was wrong meanwhile.
pub(crate) fn course(outcome: &Outcome) -> Result<String, Failure> {
    // What is counted while it settles lies behind its end.
    let seconds = outcome.samples.iter().fold(outcome.seconds.max(1.0), |last, sample| last.max(sample.at));
    let mut names: Vec<&str> = outcome.windows.iter().map(|window| window.name).collect();
    names.sort_unstable();
    names.dedup();
    let faults = ROW * (names.len() as u32 + 2);
    svg(faults + HEIGHT, |area| {
        let (faults, rest) = area.split_vertically(faults);
        windows(&faults, seconds, &names, &outcome.windows)?;
        lines(&rest, seconds, outcome)
    })
}

fn windows(area: &Area<'_>, seconds: f64, names: &[&str], windows: &[Window]) -> Result<(), Failure> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .y_label_area_size(110)
        .build_cartesian_2d(0.0..seconds, 0.0..names.len().max(1) as f64)?;
    chart.draw_series(windows.iter().filter_map(|window| {
        let row = names.iter().position(|name| *name == window.name)?;
        // A moment is seen too.
        let ends = window.ends.max(window.begins + seconds / 600.0);
        let corners = [(window.begins, row as f64 + 0.1), (ends, row as f64 + 0.9)];
        Some(Rectangle::new(corners, Palette99::pick(row).filled()))
    }))?;
    for (row, name) in names.iter().enumerate() {
        let (_, y) = chart.backend_coord(&(0.0, row as f64 + 0.9));
        area.draw(&Text::new((*name).to_owned(), (4, y), ("sans-serif", 10).into_font().color(&BLACK)))?;
    }
    Ok(())
}

fn lines(area: &Area<'_>, seconds: f64, outcome: &Outcome) -> Result<(), Failure> {
    let whole = seconds.ceil() as usize + 1;
    let (mut reads, mut behind) = (vec![0.0_f64; whole], vec![0.0_f64; whole]);
    for sample in &outcome.samples {
        let at = sample.at as usize;
        reads[at] += sample.reads as f64;
        behind[at] = behind[at].max(sample.behind_ms);
    }
    let most = reads.iter().copied().fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(110)
        .right_y_label_area_size(70)
        .build_cartesian_2d(0.0..seconds, 0.0..most)?
        .set_secondary_coord(0.0..seconds, 0.0..1_100.0);
    chart.configure_mesh().light_line_style(WHITE).x_desc("seconds").y_desc("reads a second").draw()?;
    chart.configure_secondary_axes().y_desc("longest staleness, ms").draw()?;
    let points = |values: Vec<f64>| values.into_iter().enumerate().map(|(at, value)| (at as f64, value));
    chart.draw_series(LineSeries::new(points(reads), Palette99::pick(0).stroke_width(1)))?;
    chart.draw_secondary_series(LineSeries::new(points(behind), Palette99::pick(3).stroke_width(1)))?;
    Ok(())
}

fn svg(height: u32, draw: impl FnOnce(&Area<'_>) -> Result<(), Failure>) -> Result<String, Failure> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::{Outcome, course};
    use crate::run::Sample;

    #[test]
    fn what_is_counted_behind_the_end_is_shown_too() {
        let sample = |at| Sample { at, reads: 1, hits: 1, behind_ms: 0.5 };
        let outcome =
            Outcome { seconds: 2.0, samples: vec![sample(1.9), sample(63.0)], ..Outcome::default() };
        assert!(course(&outcome).expect("it is drawn").contains("</svg>"));
    }
}
