//! `pmatch`: whether one of many paths leads to a value.

use rustc_hash::FxHashMap;

use crate::operator::glob::Glob;

/// Paths, cut at `/`, as a tree. Empty pieces do not count.
///
/// A node stands at one depth only, so matching visits no node twice and needs no more steps than
/// the tree has nodes.
#[derive(Debug, Default)]
pub(super) struct PathPrefixes {
    /// A path ends here, so it leads to everything below.
    is_end: bool,
    literals: FxHashMap<Box<[u8]>, PathPrefixes>,
    /// Pieces with `?`, `*` or `[`, as written for telling them apart.
    globs: Vec<(Box<[u8]>, Glob, PathPrefixes)>,
}

impl PathPrefixes {
    fn insert(&mut self, path: &[u8]) {
        let mut node = self;
        for piece in pieces(path) {
            node = if piece.iter().any(|b| b"?*[".contains(b)) {
                let known = node.globs.iter().position(|(text, ..)| **text == *piece);
                let index = known.unwrap_or_else(|| {
                    node.globs.push((piece.into(), Glob::new(piece), PathPrefixes::default()));
                    node.globs.len() - 1
                });
                &mut node.globs[index].2
            } else {
                node.literals.entry(piece.into()).or_default()
            };
        }
        node.is_end = true;
    }

    /// Whether one of the paths is a prefix of `value`, piece by piece.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        self.matches_pieces(pieces(value))
    }

    fn matches_pieces<'v>(&self, mut rest: impl Iterator<Item = &'v [u8]> + Clone) -> bool {
        if self.is_end {
            return true;
        }
        let Some(piece) = rest.next() else { return false };
        self.literals.get(piece).is_some_and(|child| child.matches_pieces(rest.clone()))
            || self
                .globs
                .iter()
                .any(|(_, glob, child)| glob.matches(piece) && child.matches_pieces(rest.clone()))
    }
}

impl<'p> FromIterator<&'p [u8]> for PathPrefixes {
    fn from_iter<I: IntoIterator<Item = &'p [u8]>>(paths: I) -> Self {
        let mut tree = PathPrefixes::default();
        for path in paths {
            tree.insert(path);
        }
        tree
    }
}

fn pieces(path: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    path.split(|b| *b == b'/').filter(|piece| !piece.is_empty())
}
