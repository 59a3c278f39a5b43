//! What the fuzz targets share: graphs of bytes, and what must hold of any graph.

pub mod backends;
pub mod formulas;
#[path = "../../tests/random/mod.rs"]
pub mod random;
pub mod uses;

use random::{Recipe, Step, Style, build};
use tapeless::graph::text;

/// Graphs out of the whole table, operands taken as they are, in the domain or not.
const WILD: Style = Style { wild: true, work: 600, samples: 12, ..Style::ALL };
/// The same with operands squashed into the domain, so that more numbers are finite.
const TAME: Style = Style { wild: false, ..WILD };

/// The text of the graph that these bytes stand for: any bytes stand for one.
pub fn text_of_recipe(bytes: &[u8]) -> String {
    let (head, rest) = bytes.split_at(bytes.len().min(4));
    let head = |k: usize| head.get(k).copied().unwrap_or(1);
    let steps = rest.chunks(7).take(16).map(|c| {
        let mut seven = [0; 7];
        seven[..c.len()].copy_from_slice(c);
        Step::from(seven)
    });
    let style = if head(0) % 4 == 0 { TAME } else { WILD };
    let mut steps: Vec<Step> = steps.collect();
    if steps.is_empty() {
        steps.push(Step::from([0; 7]));
    }
    let recipe = Recipe { style, samples: 1 + usize::from(head(1) % 12), seed: u32::from(head(2)), coarse: head(2) % 8 == 0, steps, ending: head(3) };
    text::print(&build(&recipe).dag)
}
