//! Plots: what is drawn, what is left out, and what can't be drawn.

use std::path::Path;
use tapeless::plot::{self, Chart};
use tapeless::prelude::*;
use tapeless::{Error, Result};

#[test]
fn a_chart_has_its_title_axes_and_legend() -> Result<()> {
    let wave = || (0..50).map(|k| f64::from(k) * 0.1).map(|x| (x, x.sin()));
    let svg = Chart::new("Waves & co")
        .x("time (s)")
        .y("height (m)")
        .line("a line", wave())
        .dashed("a dashed one", wave())
        .points("dots", wave())
        .path("a path", wave())
        .area("an area", wave())
        .vertical("a mark", 2.5)
        .svg()?;
    for text in ["Waves &amp; co", "time (s)", "height (m)", "a line", "a dashed one", "dots", "a path", "an area", "a mark"] {
        assert!(svg.contains(text), "{text} is not in\n{svg}");
    }
    assert!(svg.starts_with("<svg width=\"760\" height=\"500\"") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.matches("<circle").count() >= 100 && svg.contains("<polyline") && svg.contains("<polygon"));
    Ok(())
}

#[test]
fn what_is_not_finite_is_left_out() -> Result<()> {
    let svg = Chart::new("").line("l", [(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 4.0)]).points("p", [(1.0, f64::INFINITY), (1.0, 2.0)]).svg()?;
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    // One dot, and that of the legend.
    assert_eq!(svg.matches("<circle").count(), 2);
    let logarithmic = Chart::new("").log_y().line("l", [(0.0, 1.0), (1.0, 0.0), (2.0, 1e3), (3.0, 1e6)]).svg()?;
    assert!(logarithmic.contains("\n100\n") && !logarithmic.contains("NaN"), "{logarithmic}");
    Ok(())
}

#[test]
fn what_can_not_be_drawn_is_said() {
    let setting = |chart: Chart| match chart.svg() {
        Err(Error::Setting { name, message }) => format!("{name}: {message}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(setting(Chart::new("")), "the chart's horizontal axis: there is nothing to show");
    assert_eq!(setting(Chart::new("").line("l", [(1.0, f64::NAN)])), "the chart's horizontal axis: there is nothing to show");
    assert_eq!(setting(Chart::new("").log_y().points("p", [(1.0, -1.0)])), "the chart's horizontal axis: there is nothing to show");
    assert_eq!(setting(Chart::new("").x_range(2.0..1.0).points("p", [(1.0, 1.0)])), "the chart's horizontal axis: can't show 2.0..1.0");
    assert_eq!(setting(Chart::new("").log_y().y_range(0.0..1.0).points("p", [(1.0, 1.0)])), "the chart's vertical axis: can't show 0.0..1.0");
    let nowhere = Chart::new("").points("p", [(1.0, 1.0)]).save("/dev/null/x.svg");
    assert!(matches!(&nowhere, Err(Error::File { path, .. }) if path == "/dev/null/x.svg"), "{nowhere:?}");
}

#[test]
fn contours_pass_on_what_fails() {
    let failed = Chart::new("").contours("loss", 0.0..1.0, 0.0..1.0, &[0.5], |_, _| Err(Error::Setting { name: "f".into(), message: "no".into() }));
    assert!(failed.is_err());
    let svg = Chart::new("").contours("loss", -1.0..1.0, -1.0..1.0, &[0.25, 0.5], |x, y| Ok(x * x + y * y)).and_then(|c| c.svg());
    assert!(svg.is_ok_and(|svg| svg.contains("loss 0.25") && svg.matches("<polyline").count() > 100));
}

#[test]
fn losses_are_drawn_with_their_validation() -> Result<()> {
    let g = Graph::new();
    let program = (g.param("w") - g.data("x")).square().mean().compile()?;
    let (data, held_out) = (program.bind([("x", &[2.0, 4.0])])?, program.bind([("x", &[3.0])])?);
    let mut theta = program.params([("w", 100.0)])?;
    let mut training = Training::new(&data, Sgd::new(0.1)).steps(20).early_stopping(tapeless::fit::EarlyStopping::new(&held_out));
    training.run(&mut theta)?;
    let svg = plot::losses("Losses", &training).svg()?;
    assert!(svg.contains("training") && svg.contains("validation") && svg.contains("step"));
    let curve = plot::curve(training.history());
    assert_eq!((curve.len(), curve[0]), (20, (1.0, 97.0f64.powi(2) + 1.0)));
    assert_eq!(training.history().csv().lines().count(), 21);
    Ok(())
}

#[test]
fn a_graph_is_written_as_text_and_drawn_where_graphviz_is() -> Result<()> {
    let g = Graph::new();
    let program = (g.param("w") - g.data("x")).square().mean().compile()?;
    let folder = std::env::temp_dir().join(format!("tapeless-plots-{}", std::process::id()));
    let files = plot::graph(program.dag(), folder.join("of/a_graph"))?;
    assert_eq!(files[0], folder.join("of/a_graph.dot"));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(read(&files[0]), program.graph_dot());
    if let Some(drawing) = files.get(1) {
        assert!(read(drawing).contains("<svg"), "{}", drawing.display());
    }
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}
