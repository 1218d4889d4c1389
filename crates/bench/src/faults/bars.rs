//! A plot with a group of bars for each fault: one bar a subject, on a logarithmic scale.

use std::time::Duration;

use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, IntoLogRange, Palette, Palette99, Rectangle, SVGBackend,
    SeriesLabelPosition, Text, WHITE,
};
use plotters::style::IntoFont;

use super::case::Outcome;
use super::name_of;
use super::table::distinct;
use crate::Failure;

/// In pixels.
const SIZE: (u32, u32) = (1200, 480);

/// The bottom of the scale, in milliseconds: no request over HTTP is faster by much.
const LOWEST_MS: f64 = 1.0;

/// Which part of the room of a fault its bars fill.
const FILLED: f64 = 0.8;

pub(crate) fn draw(
    title: &str,
    outcomes: &[Outcome],
    value: fn(&Outcome) -> Duration,
) -> Result<String, Failure> {
    let mut svg = String::new();
    let faults = distinct(outcomes.iter().map(|outcome| outcome.fault));
    let subjects = distinct(outcomes.iter().map(|outcome| outcome.subject));
    let millis = |outcome: &Outcome| (value(outcome).as_secs_f64() * 1e3).max(LOWEST_MS * 1.05);
    let highest = outcomes.iter().map(millis).fold(1000.0, f64::max) * 4.0; // the names of the subjects stand above
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..faults.len() as f64, (LOWEST_MS..highest).log_scale())?;
        let whole = |number: &f64| format!("{number:.0}");
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().light_line_style(WHITE).x_labels(0).y_label_formatter(&whole).draw()?;
        let width = FILLED / subjects.len() as f64;
        for (at, subject) in subjects.iter().enumerate() {
            let color = Palette99::pick(at).to_rgba();
            let bars = outcomes.iter().filter(|outcome| outcome.subject == *subject).filter_map(|outcome| {
                let group = faults.iter().position(|fault| *fault == outcome.fault)?;
                let left = group as f64 + (1.0 - FILLED) / 2.0 + at as f64 * width;
                let corners = [(left, LOWEST_MS), (left + width, millis(outcome))];
                Some(Rectangle::new(corners, color.filled()))
            });
            chart
                .draw_series(bars)?
                .label(subject.as_str())
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        }
        for (group, fault) in faults.iter().enumerate() {
            let (x, y) = chart.backend_coord(&(group as f64 + (1.0 - FILLED) / 2.0, LOWEST_MS));
            for (line, words) in lines(name_of(*fault)).into_iter().enumerate() {
                area.draw(&Text::new(
                    words,
                    (x, y + 6 + 13 * line as i32),
                    ("sans-serif", 12).into_font().color(&BLACK),
                ))?;
            }
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw()?;
        area.present()?;
    }
    Ok(svg)
}

/// A name in two lines where it has several words: its place is narrow.
fn lines(name: &'static str) -> Vec<&'static str> {
    name.split_once('-').map_or_else(|| vec![name], |(first, rest)| vec![first, rest])
}
