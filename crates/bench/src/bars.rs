//! A plot with a group of bars for each case: one bar a subject, on a logarithmic scale.

use plotters::prelude::{
    BLACK, ChartBuilder, Color, IntoDrawingArea, IntoLogRange, Palette, Palette99, Rectangle, SVGBackend,
    SeriesLabelPosition, Text, WHITE,
};
use plotters::style::IntoFont;

use crate::Failure;

/// In pixels.
const SIZE: (u32, u32) = (1200, 480);

/// Which part of the room of a group its bars fill.
const FILLED: f64 = 0.8;

/// What is drawn: the names of the groups and of the subjects in each, and the bottom of the scale.
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    pub(crate) groups: &'a [&'a str],
    pub(crate) subjects: &'a [&'a str],
    pub(crate) lowest: f64,
}

impl Bars<'_> {
    /// Draws them: `value` is that of a subject in a group, by their numbers.
    pub(crate) fn draw(&self, value: impl Fn(usize, usize) -> Option<f64>) -> Result<String, Failure> {
        let Bars { title, groups, subjects, lowest } = *self;
        let mut svg = String::new();
        let height = |group, subject| value(group, subject).map(|value: f64| value.max(lowest * 1.05));
        let all = (0..groups.len())
            .flat_map(|group| (0..subjects.len()).map(move |subject| (group, subject)))
            .filter_map(|(group, subject)| height(group, subject));
        let highest = all.fold(lowest * 1000.0, f64::max) * 4.0; // the names of the subjects stand above
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            area.fill(&WHITE)?;
            let mut chart = ChartBuilder::on(&area)
                .caption(title, ("sans-serif", 20))
                .margin(12)
                .x_label_area_size(40)
                .y_label_area_size(64)
                .build_cartesian_2d(0.0..groups.len() as f64, (lowest..highest).log_scale())?;
            let whole = |number: &f64| format!("{number:.0}");
            let mut mesh = chart.configure_mesh();
            mesh.disable_x_mesh().light_line_style(WHITE).x_labels(0).y_label_formatter(&whole).draw()?;
            let width = FILLED / subjects.len() as f64;
            for (at, subject) in subjects.iter().enumerate() {
                let color = Palette99::pick(at).to_rgba();
                let bars = (0..groups.len()).filter_map(|group| {
                    let left = group as f64 + (1.0 - FILLED) / 2.0 + at as f64 * width;
                    let corners = [(left, lowest), (left + width, height(group, at)?)];
                    Some(Rectangle::new(corners, color.filled()))
                });
                chart
                    .draw_series(bars)?
                    .label(*subject)
                    .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
            }
            for (group, name) in groups.iter().enumerate() {
                let (x, y) = chart.backend_coord(&(group as f64 + (1.0 - FILLED) / 2.0, lowest));
                for (line, words) in lines(name).into_iter().enumerate() {
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
}

/// A name in two lines where it has several words: its place is narrow.
fn lines(name: &str) -> Vec<&str> {
    name.split_once('-').map_or_else(|| vec![name], |(first, rest)| vec![first, rest])
}
