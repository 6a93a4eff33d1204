//! Expressions of a program: equal ones are one, so that each has one slot for its values.

use rustc_hash::FxHashMap;

use crate::condition::typed::{Expression, FieldRef};
use crate::field::{FieldCatalogue, FieldType, Provider};
use crate::generic::GenericField;
use crate::program::{ExpressionId, FieldId, FieldUse};
use crate::transform::Transform;

/// Something with values, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CompiledExpression {
    pub(super) origin: Origin,
    pub(super) kind: FieldType,
    pub(super) is_list: bool,
}

/// Where the values of an expression come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Plugin(FieldId),
    Generic(GenericField),
    /// A constant of the rule, or a static field of the configuration.
    Constant(Box<[u8]>),
    List(Box<[ExpressionId]>),
    Transformed(Transform, Box<[ExpressionId]>),
}

/// Collects the expressions of all rules.
#[derive(Debug)]
pub(super) struct Expressions<'a> {
    catalogue: &'a FieldCatalogue,
    pub(super) fields: Vec<FieldUse>,
    pub(super) expressions: Vec<CompiledExpression>,
    known_fields: FxHashMap<FieldUse, FieldId>,
    known_expressions: FxHashMap<CompiledExpression, ExpressionId>,
}

impl<'a> Expressions<'a> {
    pub(super) fn new(catalogue: &'a FieldCatalogue) -> Self {
        Expressions {
            catalogue,
            fields: Vec::new(),
            expressions: Vec::new(),
            known_fields: FxHashMap::default(),
            known_expressions: FxHashMap::default(),
        }
    }

    pub(super) fn intern(&mut self, expression: &Expression) -> ExpressionId {
        let compiled = match expression {
            Expression::Field(field) => CompiledExpression {
                origin: self.origin_of_field(field),
                kind: field.kind,
                is_list: field.is_list,
            },
            Expression::Constant(text) => CompiledExpression {
                origin: Origin::Constant(text.as_slice().into()),
                kind: FieldType::String,
                is_list: false,
            },
            Expression::List(items) => CompiledExpression {
                origin: Origin::List(items.iter().map(|item| self.intern(item)).collect()),
                kind: FieldType::String,
                is_list: true,
            },
            Expression::Transformed(transformed) => {
                let arguments: Box<[_]> =
                    transformed.arguments.iter().map(|argument| self.intern(argument)).collect();
                let first = arguments.first().map(|&id| self.get(id));
                let transform = Transform {
                    transformer: transformed.transformer,
                    option: transformed.option,
                    takes_list: first.is_some_and(|argument| argument.is_list),
                };
                CompiledExpression {
                    origin: Origin::Transformed(transform, arguments),
                    kind: transformed.kind,
                    is_list: transformed.is_list,
                }
            }
        };
        let next = ExpressionId(next_id(self.expressions.len()));
        *self.known_expressions.entry(compiled).or_insert_with_key(|compiled| {
            self.expressions.push(compiled.clone());
            next
        })
    }

    pub(super) fn get(&self, id: ExpressionId) -> &CompiledExpression {
        &self.expressions[id.0 as usize]
    }

    /// A plain field, for which [`Self::intern`] would need an owned [`Expression`].
    pub(super) fn intern_field(&mut self, field: &FieldRef) -> ExpressionId {
        self.intern(&Expression::Field(field.clone()))
    }

    fn origin_of_field(&mut self, field: &FieldRef) -> Origin {
        let provider = self.catalogue.classes[field.class].provider;
        match provider {
            Provider::Generic => Origin::Generic(GenericField::at(field.field)),
            Provider::Static => {
                Origin::Constant(self.catalogue.static_values[field.field].as_bytes().into())
            }
            Provider::Plugin(_) => {
                let field_use = FieldUse {
                    provider,
                    field: field.field,
                    argument: field.argument.clone(),
                    kind: field.kind,
                    is_list: field.is_list,
                };
                let next = FieldId(next_id(self.fields.len()));
                let id = *self.known_fields.entry(field_use).or_insert_with_key(|field_use| {
                    self.fields.push(field_use.clone());
                    next
                });
                Origin::Plugin(id)
            }
        }
    }
}

/// The number of the next entry of a table with `length` entries.
pub(super) fn next_id(length: usize) -> u32 {
    u32::try_from(length).expect("a program has less than 2^32 parts of a kind")
}
