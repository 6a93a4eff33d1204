//! A rules file as YAML nodes that remember where they stand.
//!
//! Built on the event parser under `serde-saphyr`, not on serde: a report needs every key in its
//! order with its place, tells an absent key from an empty one, and of two equal keys the first
//! counts. A typed target loses all of these.

mod explain;
mod parse;
mod scalar;

pub(crate) use parse::{SyntaxError, parse};
pub(crate) use scalar::{parse_bool, parse_u32, parse_version};

use std::sync::Arc;

use crate::text::{RulesText, Scalar, ScalarOrigin, ShortSpan, Span, TracedText};

/// All YAML documents of a file. An alias is the node it refers to, so sharing costs nothing.
#[derive(Debug)]
pub(crate) struct Documents {
    file: Arc<RulesText>,
    nodes: Vec<NodeEntry>,
    /// Of all collections; those of one stand together.
    children: Vec<NodeId>,
    roots: Vec<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NodeId(u32);

#[derive(Debug)]
struct NodeEntry {
    kind: NodeKind,
    /// From the node's anchor, tag or first token to the end of its first line of content.
    span: ShortSpan,
}

#[derive(Debug)]
enum NodeKind {
    Null,
    Scalar(Scalar),
    Sequence(Children),
    /// Keys and values in turn.
    Mapping(Children),
}

/// A part of [`Documents::children`].
#[derive(Clone, Copy, Debug, Default)]
struct Children {
    start: u32,
    end: u32,
}

/// A node of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'d> {
    documents: &'d Documents,
    id: NodeId,
}

impl NodeId {
    fn index(self) -> usize {
        self.0 as usize
    }
}

impl Documents {
    pub(crate) fn roots(&self) -> impl Iterator<Item = Node<'_>> {
        self.roots.iter().map(|id| self.node(*id))
    }

    fn node(&self, id: NodeId) -> Node<'_> {
        Node { documents: self, id }
    }

    fn children(&self, children: Children) -> &[NodeId] {
        &self.children[children.start as usize..children.end as usize]
    }
}

impl<'d> Node<'d> {
    fn entry(self) -> &'d NodeEntry {
        &self.documents.nodes[self.id.index()]
    }

    /// Where the node begins, for reports, and the part of it that a caret can mark.
    pub(crate) fn span(self) -> Span {
        self.entry().span.span()
    }

    pub(crate) fn is_null(self) -> bool {
        matches!(self.entry().kind, NodeKind::Null)
    }

    pub(crate) fn is_mapping(self) -> bool {
        matches!(self.entry().kind, NodeKind::Mapping(_))
    }

    /// A scalar's value; `None` for null too.
    pub(crate) fn scalar(self) -> Option<&'d str> {
        match &self.entry().kind {
            NodeKind::Scalar(scalar) => Some(scalar.value(self.documents.file.content())),
            _ => None,
        }
    }

    /// A scalar's value with its place.
    pub(crate) fn traced(self) -> Option<TracedText> {
        let NodeKind::Scalar(scalar) = &self.entry().kind else { return None };
        let file = self.documents.file.clone();
        Some(TracedText::Scalar(ScalarOrigin { scalar: scalar.clone(), file }))
    }

    /// The elements of a sequence.
    pub(crate) fn elements(self) -> Option<impl ExactSizeIterator<Item = Node<'d>>> {
        let NodeKind::Sequence(elements) = self.entry().kind else { return None };
        Some(self.documents.children(elements).iter().map(move |id| self.documents.node(*id)))
    }

    /// The entries of a mapping in order, equal keys included; empty for anything else.
    pub(crate) fn members(self) -> impl ExactSizeIterator<Item = (Node<'d>, Node<'d>)> {
        let members = match self.entry().kind {
            NodeKind::Mapping(members) => self.documents.children(members),
            _ => &[],
        };
        let node = move |id: NodeId| self.documents.node(id);
        let (members, _) = members.as_chunks();
        members.iter().map(move |&[key, value]| (node(key), node(value)))
    }

    /// The value of a key; of several equal keys, the first.
    pub(crate) fn get(self, key: &str) -> Option<Node<'d>> {
        self.member(key).map(|(_, value)| value)
    }

    /// A key with its value; of several equal keys, the first.
    pub(crate) fn member(self, key: &str) -> Option<(Node<'d>, Node<'d>)> {
        self.members().find(|(name, _)| name.scalar() == Some(key))
    }
}
