//! A chart drawn with `plotters`.

use super::{Chart, Form, Series, clip};
use crate::error::{Error, Result};
use plotters::chart::SeriesAnno;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;

type Area<'s> = DrawingArea<SVGBackend<'s>, plotters::coord::Shift>;

/// As shown.
const SIZE: (u32, u32) = (760, 500);
/// The backend draws at whole numbers only, so the drawing is this many times as large as it is shown.
const FINE: u32 = 8;
/// Okabe and Ito's colours, told apart with any kind of colour vision: blue, vermilion, green, orange, purple, sky blue; and grey.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(110, 110, 110),
];
const INK: RGBColor = RGBColor(50, 50, 50);

pub fn svg(chart: &Chart) -> Result<String> {
    let usable = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && !(chart.log_y && *y <= 0.0);
    let mut shown = chart.clone();
    for series in &mut shown.series {
        if !matches!(series.form, Form::Line | Form::Dashed | Form::Vertical) {
            series.points.retain(usable);
        }
    }
    let points = || shown.series.iter().flat_map(|s| s.points.iter().copied().filter(usable));
    let marks = shown.series.iter().filter(|s| s.form == Form::Vertical).map(|s| s.points[0].0);
    let floor = shown.series.iter().any(|s| s.form == Form::Area).then_some(0.0);
    let x = range("horizontal", chart.x_range.clone(), points().map(|p| p.0).chain(marks), false)?;
    let y = range("vertical", chart.y_range.clone(), points().map(|p| p.1).chain(floor), chart.log_y)?;

    let mut out = String::new();
    {
        let area = SVGBackend::with_string(&mut out, (SIZE.0 * FINE, SIZE.1 * FINE)).into_drawing_area();
        let corner = emptiest(&shown, &x, &y);
        if chart.log_y { draw(&area, &shown, x, y.log_scale(), corner) } else { draw(&area, &shown, x, y, corner) }
            .map_err(|e| Error::Setting { name: "chart".into(), message: e.to_string() })?;
    }
    let drawn = format!("width=\"{}\" height=\"{}\"", SIZE.0 * FINE, SIZE.1 * FINE);
    Ok(out.replacen(&drawn, &format!("width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1), 1))
}

/// Pixels as shown, in those of the drawing.
fn px(n: i32) -> i32 {
    n * FINE as i32
}

fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", px(size)).into_font().color(&INK)
}

/// What is shown of an axis: what was asked for, or the data with a margin.
fn range(axis: &str, asked: Option<Range<f64>>, data: impl Iterator<Item = f64> + Clone, log: bool) -> Result<Range<f64>> {
    let bad = |message: String| Err(Error::Setting { name: format!("the chart's {axis} axis"), message });
    if let Some(asked) = asked {
        let sound = asked.start < asked.end && asked.start.is_finite() && asked.end.is_finite() && !(log && asked.start <= 0.0);
        return if sound { Ok(asked) } else { bad(format!("can't show {asked:?}")) };
    }
    let (low, high) = (data.clone().fold(f64::INFINITY, f64::min), data.fold(f64::NEG_INFINITY, f64::max));
    if !(low.is_finite() && high.is_finite()) {
        return bad("there is nothing to show".into());
    }
    if log {
        let margin = (high / low).powf(0.04).max(1.1);
        return Ok(low / margin..high * margin);
    }
    let margin = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(1.0) };
    // A density stands on the axis.
    let below = if low == 0.0 { 0.0 } else { margin };
    Ok(low - below..high + margin)
}

/// The corner in which a legend hides least, of points as seen.
fn emptiest(chart: &Chart, x: &Range<f64>, y: &Range<f64>) -> SeriesLabelPosition {
    let share = |v: f64, r: &Range<f64>, log: bool| if log { (v / r.start).ln() / (r.end / r.start).ln() } else { (v - r.start) / (r.end - r.start) };
    let rows = chart.series.iter().filter(|s| !s.label.is_empty()).count() as f64;
    let (width, height) = (0.36, 0.08 + 0.065 * rows);
    let covered = |right: bool, top: bool| {
        let inside = |(px, py): &&(f64, f64)| {
            let (h, v) = (share(*px, x, false), share(*py, y, chart.log_y));
            (0.0..=1.0).contains(&h)
                && (0.0..=1.0).contains(&v)
                && (if right { h > 1.0 - width } else { h < width })
                && (if top { v > 1.0 - height } else { v < height })
        };
        // Each series counts by the share of it that is hidden: of a thousand points one is nothing.
        let hidden = |s: &Series| s.points.iter().filter(inside).count() as f64 / s.points.len().max(1) as f64;
        chart.series.iter().map(hidden).sum::<f64>()
    };
    let corners = [
        (SeriesLabelPosition::UpperRight, covered(true, true)),
        (SeriesLabelPosition::UpperLeft, covered(false, true)),
        (SeriesLabelPosition::LowerRight, covered(true, false)),
        (SeriesLabelPosition::LowerLeft, covered(false, false)),
    ];
    let best = corners.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(SeriesLabelPosition::UpperRight, |(corner, _)| corner)
}

fn draw<X, Y>(area: &Area<'_>, chart: &Chart, x: X, y: Y, corner: SeriesLabelPosition) -> std::result::Result<(), Box<dyn std::error::Error>>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    area.fill(&WHITE)?;
    let below = area.margin(px(12), 0, 0, 0).titled(&chart.title, text(20))?;
    let mut builder = ChartBuilder::on(&below);
    builder.margin(px(14)).margin_right(px(24)).x_label_area_size(px(46)).y_label_area_size(px(74));
    let mut ctx = builder.build_cartesian_2d(x, y)?;
    let (x_range, y_range) = (ctx.plotting_area().get_x_range(), ctx.plotting_area().get_y_range());
    let inside = |p: &(f64, f64)| (x_range.start..=x_range.end).contains(&p.0) && (y_range.start..=y_range.end).contains(&p.1);
    // Lines are straight on the paper: along a logarithmic axis they are cut by logarithms.
    let to = |y: f64| if chart.log_y { y.ln() } else { y };
    let from = |y: f64| if chart.log_y { y.exp() } else { y };
    let visible = |points: &[(f64, f64)]| -> Vec<Vec<(f64, f64)>> {
        let points: Vec<_> = points.iter().map(|p| (p.0, to(p.1))).collect();
        let pieces = clip::pieces(&points, &x_range, &(to(y_range.start)..to(y_range.end)));
        pieces.into_iter().map(|piece| piece.into_iter().map(|p| (p.0, from(p.1))).collect()).collect()
    };
    ctx.configure_mesh()
        .max_light_lines(0)
        .bold_line_style(BLACK.mix(0.12).stroke_width(FINE))
        .set_all_tick_mark_size(px(5))
        .axis_style(INK.stroke_width(FINE))
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .x_label_formatter(&|v| tick(*v, &x_range, false))
        .y_label_formatter(&|v| tick(*v, &y_range, chart.log_y))
        .label_style(text(13))
        .axis_desc_style(text(15))
        .draw()?;

    let mut colours = PALETTE.iter().cycle();
    for series in &chart.series {
        let colour = match series.form {
            Form::Contour(share) => shade(share),
            Form::Vertical => INK,
            _ => colours.next().copied().unwrap_or(BLACK),
        };
        // Many dots are a cloud.
        let dot = if series.points.len() > 200 { 3 * FINE as i32 / 2 } else { px(4) };
        match series.form {
            Form::Points => label(ctx.draw_series(series.points.iter().filter(|p| inside(p)).map(|p| Circle::new(*p, dot, colour.filled())))?, series, colour),
            Form::Contour(_) => {
                let pieces = series.points.chunks_exact(2).map(|s| PathElement::new(s.to_vec(), colour.stroke_width(FINE)));
                label(ctx.draw_series(pieces)?, series, colour);
            }
            Form::Area => {
                label(ctx.draw_series(AreaSeries::new(series.points.clone(), 0.0, colour.mix(0.25)).border_style(colour.stroke_width(FINE)))?, series, colour)
            }
            Form::Path => {
                for piece in visible(&series.points) {
                    ctx.draw_series(LineSeries::new(piece, colour.stroke_width(FINE)))?;
                }
                let dots = series.points.iter().filter(|p| inside(p)).map(|p| Circle::new(*p, px(2), colour.filled()));
                label(ctx.draw_series(dots)?, series, colour);
            }
            Form::Vertical => {
                let x = series.points[0].0;
                let ends = [(x, y_range.start), (x, y_range.end)];
                label(ctx.draw_series(DashedLineSeries::new(ends, px(5), px(4), colour.stroke_width(FINE)))?, series, colour);
            }
            Form::Line | Form::Dashed => {
                for (k, piece) in visible(&series.points).into_iter().enumerate() {
                    let entry = if series.form == Form::Line {
                        ctx.draw_series(LineSeries::new(piece, colour.stroke_width(2 * FINE)))?
                    } else {
                        ctx.draw_series(DashedLineSeries::new(piece, px(7), px(4), colour.stroke_width(2 * FINE)))?
                    };
                    if k == 0 {
                        label(entry, series, colour);
                    }
                }
            }
        }
    }
    if chart.series.iter().any(|s| !s.label.is_empty()) {
        ctx.configure_series_labels()
            .position(corner)
            .margin(px(10))
            .legend_area_size(px(32))
            .label_font(text(14))
            .border_style(BLACK.mix(0.2).stroke_width(FINE))
            .background_style(WHITE.mix(0.85).filled())
            .draw()?;
    }
    area.present()?;
    Ok(())
}

/// A series' row of the legend.
fn label<'a, B: DrawingBackend + 'a>(entry: &mut SeriesAnno<'a, B>, series: &Series, colour: RGBColor) {
    if series.label.is_empty() {
        return;
    }
    entry.label(&series.label);
    match series.form {
        Form::Points => entry.legend(move |(x, y)| Circle::new((x + px(11), y), px(3), colour.filled())),
        Form::Path => entry.legend(move |(x, y)| {
            let line = PathElement::new([(0, 0), (px(22), 0)], colour.stroke_width(FINE));
            EmptyElement::at((x, y)) + line + Circle::new((px(11), 0), px(2), colour.filled())
        }),
        Form::Area => entry.legend(move |(x, y)| Rectangle::new([(x, y - px(5)), (x + px(22), y + px(5))], colour.mix(0.35).filled())),
        Form::Dashed | Form::Vertical => entry.legend(move |(x, y)| {
            let dash = move |from: i32| PathElement::new([(px(from), 0), (px(from + 5), 0)], colour.stroke_width(2 * FINE));
            EmptyElement::at((x, y)) + dash(0) + dash(8) + dash(16)
        }),
        Form::Line | Form::Contour(_) => entry.legend(move |(x, y)| PathElement::new([(x, y), (x + px(22), y)], colour.stroke_width(2 * FINE))),
    };
}

/// From dark blue (low) to light orange (high).
fn shade(share: f64) -> RGBColor {
    let mix = |a: f64, b: f64| (a + (b - a) * share).round() as u8;
    RGBColor(mix(40.0, 235.0), mix(60.0, 170.0), mix(140.0, 90.0))
}

/// A number on an axis; on a linear one 0 may come as what rounding made of it.
fn tick(v: f64, range: &Range<f64>, log: bool) -> String {
    number(if !log && v.abs() < 1e-9 * (range.end - range.start) { 0.0 } else { v })
}

/// A number as axes and legends show it: six significant digits at most, and no more than it needs.
pub fn number(v: f64) -> String {
    let size = v.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{v:.5e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        return format!("{digits}e{power}");
    }
    let places = if size == 0.0 { 0 } else { (5 - size.log10().floor() as i32).clamp(0, 9) as usize };
    let text = format!("{v:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let shown = [0.0, -0.0, 1.0, -2.5, 1e5, 1e6, 12345678.0, 0.1 + 0.2, 1e-5, 0.001, 14258.97].map(number);
        assert_eq!(shown, ["0", "0", "1", "-2.5", "100000", "1e6", "1.23457e7", "0.3", "1e-5", "0.001", "14259"]);
    }
}
