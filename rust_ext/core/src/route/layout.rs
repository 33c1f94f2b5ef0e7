//! From growing trees of hash maps to the flat arrays that look-ups read.

use std::collections::HashMap;

use super::index::NONE;
use super::table::{List, Literals, Node, Tree};

/// A node while routes are read.
#[derive(Default)]
pub(super) struct Growing {
    pub(super) children: HashMap<Vec<u8>, u32>,
    pub(super) capture: Option<u32>,
    pub(super) end: Vec<u32>,
    pub(super) rest: Vec<u32>,
    pub(super) prefix: Vec<u32>,
}

/// A tree while routes are read.
#[derive(Default)]
pub(super) struct GrowingTree {
    pub(super) root: u32,
    pub(super) regexes: Vec<u32>,
    pub(super) no_path: Vec<u32>,
}

/// The arrays that nodes and trees point into.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) lists: Vec<u32>,
    pub(super) labels: Vec<u8>,
}

impl Layout {
    fn list(&mut self, ranks: &[u32]) -> List {
        match ranks {
            [] => List::One(NONE),
            [rank] => List::One(*rank),
            _ => {
                let start = self.lists.len() as u32;
                self.lists.extend_from_slice(ranks);
                List::Many(start, self.lists.len() as u32)
            }
        }
    }

    pub(super) fn nodes(&mut self, growing: &[Growing]) -> Vec<Node> {
        let mut nodes: Vec<Node> = growing.iter().map(|node| self.node(node)).collect();
        // Children are always made after their parent: from the back, every child is done before its parent.
        for at in (0..nodes.len()).rev() {
            let below =
                growing[at].children.values().chain(&growing[at].capture).map(|child| nodes[*child as usize].best);
            nodes[at].best = below.chain([nodes[at].best]).min().unwrap_or(NONE);
        }
        nodes
    }

    fn node(&mut self, node: &Growing) -> Node {
        let literals = match (node.children.len(), node.children.iter().next()) {
            (1, Some((label, child))) => {
                let start = self.labels.len() as u32;
                self.labels.extend_from_slice(label);
                Literals::One { child: *child, start, end: self.labels.len() as u32 }
            }
            (_, None) => Literals::None,
            _ => Literals::Many,
        };
        let own = [&node.end, &node.rest, &node.prefix].into_iter().filter_map(|list| list.first()).min();
        Node {
            best: own.copied().unwrap_or(NONE),
            capture: node.capture.unwrap_or(NONE),
            literals,
            end: self.list(&node.end),
            rest: self.list(&node.rest),
            prefix: self.list(&node.prefix),
        }
    }

    pub(super) fn tree(&mut self, tree: &GrowingTree, nodes: &[Node]) -> Tree {
        let own = [&tree.regexes, &tree.no_path].into_iter().filter_map(|list| list.first()).min();
        Tree {
            root: tree.root,
            regexes: self.list(&tree.regexes),
            no_path: self.list(&tree.no_path),
            best: own.copied().unwrap_or(NONE).min(nodes[tree.root as usize].best),
        }
    }
}
