//! Plots, as SVG that takes the colours of the page and is as wide as there is room. Each stands beside the numbers that it shows, so
//! that nobody has to see it.

use maud::{Markup, html};

/// A bar as long as a share of the longest, to stand in a table.
pub(super) fn bar(share: f64, class: &str) -> Markup {
    let width = format!("{:.1}%", share.clamp(0.0, 1.0) * 100.0);
    html! {
        svg aria-hidden="true" focusable="false" { rect class=(class) width=(width) height="100%" rx="3" {} }
    }
}

/// How wide a plot is drawn, in units of which its text is 12 high: on a phone that is what one can read.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 190.0;
/// Room for what is written left of the plot, beside it and below it.
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 10.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 14.0;

/// A column of a plot.
pub(super) struct Column {
    /// What is written below it.
    pub(super) name: String,
    /// What it says when it is pointed at.
    pub(super) words: String,
    /// How high it is.
    pub(super) value: f64,
}

/// Columns side by side; `most` is what is written at the height of the highest.
pub(super) fn columns(title: &str, columns: &[Column], most: &str) -> Markup {
    let highest = columns.iter().map(|column| column.value).fold(0.0, f64::max);
    let step = (RIGHT - LEFT) / columns.len().max(1) as f64;
    let ground = HEIGHT - BOTTOM;
    let each = columns.len().div_ceil(6).max(1); // so many names fit side by side
    html! {
        svg.plot role="img" aria-label=(title) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) {
            (axes(most, ground))
            @for (index, column) in columns.iter().enumerate() {
                @let height = if highest > 0.0 { column.value / highest * (ground - TOP) } else { 0.0 };
                @let left = LEFT + step * index as f64;
                rect.bar x=(short(left + step * 0.12)) y=(short(ground - height)) width=(short(step * 0.76)) height=(short(height)) rx="2" {
                    title { (column.words) }
                }
                @if (columns.len() - 1 - index).is_multiple_of(each) {
                    text x=(short(left + step / 2.0)) y=(short(HEIGHT - 6.0)) text-anchor="middle" { (column.name) }
                }
            }
        }
    }
}

/// Two shares of a whole over time, one upon the other, each moment as (first, second), from 0 to 1.
pub(super) fn shares(title: &str, moments: &[(f64, f64)], (from, to): (&str, &str)) -> Markup {
    let ground = HEIGHT - BOTTOM;
    let step = (RIGHT - LEFT) / moments.len().saturating_sub(1).max(1) as f64;
    let height = |share: f64| ground - share.clamp(0.0, 1.0) * (ground - TOP);
    let area = |top: &dyn Fn(&(f64, f64)) -> f64| {
        let points = moments.iter().enumerate().map(|(index, moment)| {
            format!("L{} {}", short(LEFT + step * index as f64), short(height(top(moment))))
        });
        let points: String = points.collect();
        let end = LEFT + step * moments.len().saturating_sub(1) as f64;
        format!("M{LEFT} {ground}{points}L{} {ground}Z", short(end))
    };
    html! {
        svg.plot role="img" aria-label=(title) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) {
            path.bar-2 d=(area(&|(first, second)| first + second)) {}
            path.bar d=(area(&|(first, _)| *first)) {}
            (axes("100 %", ground))
            text x=(LEFT) y=(short(HEIGHT - 6.0)) { (from) }
            text x=(RIGHT) y=(short(HEIGHT - 6.0)) text-anchor="end" { (to) }
        }
    }
}

/// The ground, the height of the highest, and what they are.
fn axes(most: &str, ground: f64) -> Markup {
    html! {
        line.axis x1=(LEFT) x2=(RIGHT) y1=(TOP) y2=(TOP) {}
        line.axis x1=(LEFT) x2=(RIGHT) y1=(ground) y2=(ground) {}
        text x=(LEFT - 4.0) y=(TOP + 4.0) text-anchor="end" { (most) }
        text x=(LEFT - 4.0) y=(ground + 4.0) text-anchor="end" { "0" }
    }
}

/// A number that is short enough to be sent thousands of times.
fn short(number: f64) -> String {
    format!("{number:.1}")
}
