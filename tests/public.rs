//! The public face: every public type can be printed, and shared between threads where it doesn't hold on to a graph under construction. The list is held
//! against the sources, so that a new type is on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;

fn shared<T: Debug + Send + Sync>() {}
fn printed<T: Debug>() {}

/// Asserts that every type can be printed and shared, and gives their names.
macro_rules! can_be_shared {
    ($($t:ty),* $(,)?) => {{
        $(shared::<$t>();)*
        [$(stringify!($t)),*]
    }};
}

/// Asserts that every type can be printed and can't be sent to another thread (else it belongs above), and gives their names.
macro_rules! stays_on_its_thread {
    ($($t:ty),* $(,)?) => {{
        $({
            printed::<$t>();
            // Which `some` is meant can be told only if there is one: that of a type that isn't `Send`.
            trait Either<A> { fn some() {} }
            impl<T: ?Sized> Either<()> for T {}
            struct Sendable;
            impl<T: ?Sized + Send> Either<Sendable> for T {}
            <$t as Either<_>>::some();
        })*
        [$(stringify!($t)),*]
    }};
}

/// Types that are owned, or borrow data or programs.
fn those_shared() -> Vec<&'static str> {
    let names = can_be_shared![
        tapeless::backend::Backend,
        tapeless::backend::Leaf<'_, '_, f64>,
        tapeless::backend::Scratch<f64>,
        tapeless::backend::interp::Interp<f64>,
        tapeless::backend::rows::LeafRows<'_, f64>,
        tapeless::backend::rows::RowColumns<'_, f64>,
        tapeless::check::Component,
        tapeless::check::Culprit,
        tapeless::check::Fault,
        tapeless::check::Report,
        tapeless::check::Verdict,
        tapeless::check::ridders::Derivative,
        tapeless::column::Column<'_, f64>,
        tapeless::data::Affine,
        tapeless::data::Frame,
        tapeless::data::Scaling,
        tapeless::diff::Contribution,
        tapeless::diff::Defect,
        tapeless::diff::Fault,
        tapeless::diff::Outgoing,
        tapeless::dist::Draw,
        tapeless::error::Error,
        tapeless::error::Mistake,
        tapeless::error::NonFinite,
        tapeless::error::Place,
        tapeless::fit::Adam,
        tapeless::fit::AdamW,
        tapeless::fit::Batches,
        tapeless::fit::Checkpoint,
        tapeless::fit::EpochEnd<'_>,
        tapeless::fit::Every,
        tapeless::fit::History,
        tapeless::fit::Matching,
        tapeless::fit::OnPlateau,
        tapeless::fit::Outcome,
        tapeless::fit::Progress<'_>,
        tapeless::fit::ProgressBar,
        tapeless::fit::Row<'_, f64>,
        tapeless::fit::Run,
        tapeless::fit::Schedule,
        tapeless::fit::Sgd,
        tapeless::fit::State,
        tapeless::fit::Stop,
        tapeless::graph::Arrangement,
        tapeless::graph::Axis,
        tapeless::graph::Bits,
        tapeless::graph::Dag,
        tapeless::graph::Fold,
        tapeless::graph::Input,
        tapeless::graph::Limit,
        tapeless::graph::Node,
        tapeless::graph::NodeId,
        tapeless::graph::Op,
        tapeless::graph::dense::Dense,
        tapeless::graph::eval::Inputs,
        tapeless::graph::eval::Value,
        tapeless::kernel::arith::Scalar<f64>,
        tapeless::kernel::arith::Slow,
        tapeless::kernel::build::Builder<f64>,
        tapeless::kernel::ir::Access,
        tapeless::kernel::ir::Ahead,
        tapeless::kernel::ir::Bin,
        tapeless::kernel::ir::Cmp,
        tapeless::kernel::ir::GroupSum,
        tapeless::kernel::ir::Inst,
        tapeless::kernel::ir::Int,
        tapeless::kernel::ir::Kernel,
        tapeless::kernel::ir::Made,
        tapeless::kernel::ir::Mask,
        tapeless::kernel::ir::MathFn,
        tapeless::kernel::ir::Part,
        tapeless::kernel::ir::PassKernels,
        tapeless::kernel::ir::Shift,
        tapeless::kernel::ir::Un,
        tapeless::kernel::ir::V,
        tapeless::kernel::uniform::Long<'_>,
        tapeless::kernel::uniform::UniformProgram,
        tapeless::known::Multiply,
        tapeless::known::Positions,
        tapeless::labels::LabelColumn<'_>,
        tapeless::lines::Aligned<f64>,
        tapeless::op::Elem,
        tapeless::pipeline::Options,
        tapeless::plot::Chart,
        tapeless::runtime::batch::Batch<'_, '_>,
        tapeless::runtime::columns::Columns<'_, f64>,
        tapeless::runtime::columns::Table<'_, f64>,
        tapeless::runtime::params::Layout,
        tapeless::runtime::params::Numbers,
        tapeless::runtime::params::Params<f64>,
        tapeless::runtime::pass::CompiledPass<f64>,
        tapeless::runtime::pass::Results<'_, f64>,
        tapeless::runtime::pass::Samples<'_, f64>,
        tapeless::runtime::pass::Worker<f64>,
        tapeless::runtime::pass::Workers<f64>,
        tapeless::runtime::plan::BoundPlan<'_, f64>,
        tapeless::runtime::plan::Plan<f64>,
        tapeless::runtime::plan::Slot,
        tapeless::runtime::program::Array<f64>,
        tapeless::runtime::program::Bound<'_>,
        tapeless::runtime::program::BoundFunction<'_>,
        tapeless::runtime::program::Compiled<f64>,
        tapeless::runtime::program::Function,
        tapeless::runtime::program::Program,
        tapeless::runtime::program::Program<f32>,
        tapeless::runtime::tree::Combine,
        tapeless::runtime::tree::Factor,
        tapeless::runtime::tree::Tree,
        tapeless::sample::Sampler,
        tapeless::schedule::Ahead,
        tapeless::schedule::Pass,
        tapeless::schedule::Passes,
        tapeless::schedule::Schedule,
        tapeless::schedule::Shift,
        tapeless::schedule::Stage,
        tapeless::schedule::Step,
        tapeless::shape::Shape,
        tapeless::simplify::Statistics,
        tapeless::simplify::rules::Change,
        tapeless::simplify::rules::Compiled,
        tapeless::simplify::rules::Kind,
        tapeless::simplify::rules::Pattern,
        tapeless::simplify::rules::Rule,
        tapeless::strided::Strided<'_, f64>,
    ];
    let mut names = names.to_vec();
    #[cfg(all(target_arch = "x86_64", unix))]
    names.extend(can_be_shared![tapeless::backend::jit::Jit<f64>]);
    names
}

/// Types that hold on to a graph under construction, which takes nodes without a lock, and those that hold a user's closures.
fn those_that_stay() -> Vec<&'static str> {
    let names = stays_on_its_thread![
        tapeless::constraint::Constrained<'_>,
        tapeless::diff::Gradient<'_>,
        tapeless::dist::Bernoulli<'_>,
        tapeless::dist::Beta<'_>,
        tapeless::dist::Binomial<'_>,
        tapeless::dist::Categorical<'_>,
        tapeless::dist::Cauchy<'_>,
        tapeless::dist::Dirichlet<'_>,
        tapeless::dist::Exponential<'_>,
        tapeless::dist::Gamma<'_>,
        tapeless::dist::Geometric<'_>,
        tapeless::dist::HalfNormal<'_>,
        tapeless::dist::InverseGamma<'_>,
        tapeless::dist::Laplace<'_>,
        tapeless::dist::LogNormal<'_>,
        tapeless::dist::Logistic<'_>,
        tapeless::dist::Mixture<'_>,
        tapeless::dist::MultivariateNormal<'_>,
        tapeless::dist::NegativeBinomial<'_>,
        tapeless::dist::Normal<'_>,
        tapeless::dist::Parameter<'_>,
        tapeless::dist::Poisson<'_>,
        tapeless::dist::StudentT<'_>,
        tapeless::dist::Uniform<'_>,
        tapeless::dist::Weibull<'_>,
        tapeless::expr::Expr<'_>,
        tapeless::expr::Labels<'_>,
        tapeless::fit::EarlyStopping<'_>,
        tapeless::fit::Training<'_, '_, f64, tapeless::Sgd>,
        tapeless::layer::Linear<'_>,
        tapeless::layer::Network<'_>,
    ];
    names.to_vec()
}

/// The graph itself may go to another thread, with nothing that holds on to it.
fn the_graph() -> Vec<&'static str> {
    fn sent<T: Debug + Send>() {}
    sent::<tapeless::expr::Graph>();
    vec!["tapeless::expr::Graph"]
}

/// The source of every module, by its path.
fn modules() -> BTreeMap<String, String> {
    fn walk(at: &Path, path: &str, out: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_stem().unwrap().to_str().unwrap().to_string();
            let below = if path.is_empty() { name.clone() } else { format!("{path}::{name}") };
            if file.is_dir() {
                walk(&file, &below, out);
            } else if file.extension().is_some_and(|e| e == "rs") {
                let module = if name == "mod" || name == "lib" { path.to_string() } else { below };
                out.insert(module, std::fs::read_to_string(&file).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut out);
    out
}

/// Lines that start so, indented or not, with what follows up to the next of these ends.
fn after<'t>(text: &'t str, start: &'t str, ends: &'t [char]) -> impl Iterator<Item = &'t str> {
    let lines = text.match_indices(start).filter(|(at, _)| text[..*at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty()));
    lines.map(move |(at, _)| text[at + start.len()..].split(ends).next().unwrap_or_default())
}

/// Every struct and enum that a user can name, by the shortest path below the crate.
fn public_types() -> BTreeSet<String> {
    let modules = modules();
    let mut public = vec![String::new()];
    let mut k = 0;
    while k < public.len() {
        let path = public[k].clone();
        let text = &modules[&path];
        // Modules of this crate's own tests aren't there for users.
        let of_tests: Vec<&str> = text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| rest.lines().next()).collect();
        for name in after(text, "pub mod ", &[';', ' ']) {
            let below = if path.is_empty() { name.to_string() } else { format!("{path}::{name}") };
            if modules.contains_key(&below) && !of_tests.contains(&format!("pub mod {name};").as_str()) {
                public.push(below);
            }
        }
        k += 1;
    }
    let mut out = BTreeSet::new();
    for (path, text) in modules.iter().filter(|(path, _)| !path.is_empty()) {
        let (parent, own) = path.rsplit_once("::").unwrap_or(("", path));
        for start in ["pub struct ", "pub enum "] {
            for name in after(text, start, &['<', '(', ' ', ';', '{']) {
                if public.contains(path) {
                    out.insert(format!("{path}::{name}"));
                } else if public.iter().any(|p| p == parent) {
                    let used = after(&modules[parent], "pub use ", &[';']).filter_map(|u| u.strip_prefix(own)?.strip_prefix("::"));
                    let listed = used.flat_map(|u| u.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|u| u == name);
                    if listed {
                        out.insert(if parent.is_empty() { name.to_string() } else { format!("{parent}::{name}") });
                    }
                }
            }
        }
    }
    out
}

#[test]
fn every_public_type_is_printed_and_shared_where_it_can_be() {
    let lists = [those_shared(), those_that_stay(), the_graph()];
    let plain = |name: &&str| {
        let name: String = name.split('<').next().unwrap_or_default().split_whitespace().collect();
        name.trim_start_matches("tapeless::").to_string()
    };
    let listed: BTreeSet<String> = lists.iter().flatten().map(plain).collect();
    let mut public = public_types();
    if !cfg!(all(target_arch = "x86_64", unix)) {
        public.retain(|name| !name.starts_with("backend::jit"));
    }
    assert!(public.len() > 100, "the sources are in src/");
    let missing: Vec<_> = public.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&public).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not listed here: {missing:?}; listed, but not public: {gone:?}");
}
