//! Plots of what grows with something: hits and removals with the cache, fills with their bytes.

use std::ops::Range;

use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, IntoLogRange, LineSeries, Palette, Palette99, PathElement,
    SVGBackend, SeriesLabelPosition, WHITE,
};

use crate::Failure;
use crate::record::Summary;

/// In pixels.
const SIZE: (u32, u32) = (860, 480);

/// One line for each side, over the number of entries or whatever stands in its place; both axes logarithmic.
pub(crate) fn over_entries(
    title: &str,
    (entries, range): (&str, Range<f64>),
    unit: &str,
    summaries: &[Summary],
) -> Result<String, Failure> {
    let mut svg = String::new();
    let mut sides: Vec<&str> = summaries.iter().map(|summary| summary.case.side).collect();
    sides.sort_unstable();
    sides.dedup();
    let lowest = summaries.iter().map(|summary| summary.median).fold(f64::INFINITY, f64::min);
    let highest = summaries.iter().map(|summary| summary.median).fold(1.0, f64::max);
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .margin_right(48) // the last number of the axis reaches beyond it
            .x_label_area_size(36)
            .y_label_area_size(80)
            .build_cartesian_2d(range.log_scale(), (lowest * 0.8..highest * 1.25).log_scale())?;
        let whole = |number: &f64| format!("{number:.0}");
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(WHITE);
        mesh.x_desc(entries).y_desc(unit).x_label_formatter(&whole).y_label_formatter(&whole).draw()?;
        for (at, side) in sides.into_iter().enumerate() {
            let color = Palette99::pick(at).to_rgba();
            let line = summaries.iter().filter(|summary| summary.case.side == side);
            let points = line.map(|summary| (summary.case.entries as f64, summary.median));
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(side)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw()?;
        area.present()?;
    }
    Ok(svg)
}
