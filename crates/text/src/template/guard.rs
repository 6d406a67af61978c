//! Puts a guard around every place of a template where a value can grow.
//!
//! ```text
//! source ─parse─▶ tree ─Guard─▶ the same tree, with filters in it that measure ─compile─▶ instructions
//! ```
//!
//! What an operator, a filter, a test or a call is given is weighed before, and what they make is measured after ([`super::measure`]): `a ~ b` becomes `((a | weigh) ~ (b | weigh)) | keep`. Text of the template itself is written by
//! way of a filter too, so that what a block collects is counted. A side effect is wanted: operators on constants are not computed while compiling, where nothing could be measured.
//!
//! The meaning of a template is not changed. The tree cannot be edited, so it is made anew, node by node; a kind of node that is new in the engine is an error here until it is guarded.

use std::collections::BTreeSet;

use minijinja::Value;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    AutoEscape, BinOp, BinOpKind, Block, Call, CallArg, CallBlock, Compare, CompareOp, Const, Do,
    EmitExpr, Expr, Filter, FilterBlock, ForLoop, GetAttr, GetItem, IfCond, IfExpr, List, Macro,
    Map, Set, SetBlock, Slice, Spanned, Stmt, Template, Test, Tuple, UnaryOp, UnaryOpKind,
    WithBlock,
};

/// Names of filters that no template can spell.
pub(super) const WEIGH: &str = "~weigh";
pub(super) const KEEP: &str = "~keep";
pub(super) const ASSIGN: &str = "~assign";

/// Filters that look at no more than the top of what they are given, or count what they write themselves: asked of all messages for every message, weighing would be most of the work.
const LIGHT: [&str; 8] = [
    "count", "d", "default", "first", "last", "length", "string", "tojson",
];

/// Makes guarded trees, and gathers the names of variables that are looked up.
#[derive(Debug, Default)]
pub(super) struct Guard {
    pub(super) reads: BTreeSet<String>,
}

/// A filter around an expression.
fn by<'a>(name: &'static str, expr: Expr<'a>) -> Expr<'a> {
    let span = expr.span();
    filter(name, Some(expr), span)
}

fn filter<'a>(name: &'static str, expr: Option<Expr<'a>>, span: Span) -> Expr<'a> {
    let args = Vec::new();
    Expr::Filter(Spanned::new(Filter { name, expr, args }, span))
}

impl Guard {
    fn weighed<'a>(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        by(WEIGH, self.expr(expr))
    }

    fn optional<'a>(&mut self, expr: Option<&Expr<'a>>) -> Option<Expr<'a>> {
        expr.map(|expr| self.expr(expr))
    }

    fn many<'a>(&mut self, all: &[Expr<'a>]) -> Vec<Expr<'a>> {
        all.iter().map(|expr| self.expr(expr)).collect()
    }

    fn args<'a>(&mut self, args: &[CallArg<'a>]) -> Vec<CallArg<'a>> {
        let arg = |arg: &CallArg<'a>| match arg {
            CallArg::Pos(expr) => CallArg::Pos(self.weighed(expr)),
            CallArg::Kwarg(name, expr) => CallArg::Kwarg(name, self.weighed(expr)),
            CallArg::PosSplat(expr) => CallArg::PosSplat(self.weighed(expr)),
            CallArg::KwargSplat(expr) => CallArg::KwargSplat(self.weighed(expr)),
        };
        args.iter().map(arg).collect()
    }

    fn call<'a>(&mut self, call: &Spanned<Call<'a>>) -> Spanned<Call<'a>> {
        let expr = self.expr(&call.expr);
        let args = self.args(&call.args);
        Spanned::new(Call { expr, args }, call.span())
    }

    /// A filter; without an expression it is that of a block, which the block's text goes through.
    fn filter<'a>(&mut self, own: &Spanned<Filter<'a>>) -> Expr<'a> {
        let light = LIGHT.contains(&own.name);
        let given = own.expr.as_ref();
        let expr = given.map(|expr| {
            if light {
                self.expr(expr)
            } else {
                self.weighed(expr)
            }
        });
        let (name, args) = (own.name, self.args(&own.args));
        let made = Expr::Filter(Spanned::new(Filter { name, expr, args }, own.span()));
        by(KEEP, made)
    }

    /// What is computed is measured; what is looked up was measured when it was made.
    fn expr<'a>(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        let span = expr.span();
        match expr {
            Expr::Var(own) => {
                self.reads.insert(own.id.to_owned());
                let id = own.id;
                Expr::Var(Spanned::new(minijinja::machinery::ast::Var { id }, span))
            }
            Expr::Const(own) => {
                let value = own.value.clone();
                Expr::Const(Spanned::new(Const { value }, span))
            }
            Expr::Slice(own) => {
                let sliced = Slice {
                    expr: self.weighed(&own.expr),
                    start: self.optional(own.start.as_ref()),
                    stop: self.optional(own.stop.as_ref()),
                    step: self.optional(own.step.as_ref()),
                };
                by(KEEP, Expr::Slice(Spanned::new(sliced, span)))
            }
            Expr::Filter(own) => self.filter(own),
            Expr::Test(own) => {
                let (name, args) = (own.name, self.args(&own.args));
                let expr = self.tested(&own.expr);
                Expr::Test(Spanned::new(Test { name, expr, args }, span))
            }
            Expr::GetAttr(own) => {
                let (name, expr) = (own.name, self.expr(&own.expr));
                Expr::GetAttr(Spanned::new(GetAttr { expr, name }, span))
            }
            Expr::GetItem(own) => {
                let expr = self.expr(&own.expr);
                let subscript_expr = self.expr(&own.subscript_expr);
                let own = GetItem {
                    expr,
                    subscript_expr,
                };
                Expr::GetItem(Spanned::new(own, span))
            }
            Expr::Call(own) => by(KEEP, Expr::Call(self.call(own))),
            Expr::List(own) => {
                let items = self.many(&own.items);
                by(KEEP, Expr::List(Spanned::new(List { items }, span)))
            }
            Expr::Tuple(own) => {
                let items = self.many(&own.items);
                by(KEEP, Expr::Tuple(Spanned::new(Tuple { items }, span)))
            }
            Expr::Map(own) => {
                let (keys, values) = (self.many(&own.keys), self.many(&own.values));
                by(KEEP, Expr::Map(Spanned::new(Map { keys, values }, span)))
            }
            Expr::UnaryOp(_) | Expr::BinOp(_) | Expr::Compare(_) | Expr::IfExpr(_) => {
                self.operator(expr)
            }
        }
    }

    /// Whether a variable is defined is asked of the variable itself.
    fn tested<'a>(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        match expr {
            Expr::Var(_) => self.expr(expr),
            _ => self.weighed(expr),
        }
    }

    fn operator<'a>(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        let span = expr.span();
        match expr {
            Expr::UnaryOp(own) => {
                let op = if matches!(own.op, UnaryOpKind::Neg) {
                    UnaryOpKind::Neg
                } else {
                    UnaryOpKind::Not
                };
                let expr = self.expr(&own.expr);
                Expr::UnaryOp(Spanned::new(UnaryOp { op, expr }, span))
            }
            Expr::BinOp(own) => {
                let op = own.op;
                // These give one of the two, and the other is not looked at.
                let plain = matches!(op, BinOpKind::ScAnd | BinOpKind::ScOr);
                let (left, right) = if plain {
                    (self.expr(&own.left), self.expr(&own.right))
                } else {
                    (self.weighed(&own.left), self.weighed(&own.right))
                };
                let made = Expr::BinOp(Spanned::new(BinOp { op, left, right }, span));
                if plain { made } else { by(KEEP, made) }
            }
            Expr::Compare(own) => {
                let one = |next: &CompareOp<'a>| CompareOp {
                    op: next.op,
                    expr: self.weighed(&next.expr),
                };
                let ops = own.ops.iter().map(one).collect();
                let expr = self.weighed(&own.expr);
                Expr::Compare(Spanned::new(Compare { expr, ops }, span))
            }
            Expr::IfExpr(own) => {
                let own = IfExpr {
                    test_expr: self.expr(&own.test_expr),
                    true_expr: self.expr(&own.true_expr),
                    false_expr: self.optional(own.false_expr.as_ref()),
                };
                Expr::IfExpr(Spanned::new(own, span))
            }
            other => self.expr(other),
        }
    }

    /// What is assigned to: nothing is looked up, and nothing made, but for the object whose attribute it is.
    fn target<'a>(&mut self, target: &Expr<'a>) -> Expr<'a> {
        let span = target.span();
        match target {
            Expr::Var(own) => {
                let id = own.id;
                Expr::Var(Spanned::new(minijinja::machinery::ast::Var { id }, span))
            }
            Expr::List(own) => {
                let items = own.items.iter().map(|item| self.target(item)).collect();
                Expr::List(Spanned::new(List { items }, span))
            }
            Expr::Tuple(own) => {
                let items = own.items.iter().map(|item| self.target(item)).collect();
                Expr::Tuple(Spanned::new(Tuple { items }, span))
            }
            other => self.expr(other),
        }
    }

    fn all<'a>(&mut self, all: &[Stmt<'a>]) -> Vec<Stmt<'a>> {
        all.iter().map(|stmt| self.statement(stmt)).collect()
    }

    fn emitted<'a>(&mut self, own: &Spanned<EmitExpr<'a>>) -> Stmt<'a> {
        // A call that is written out as it is: the engine knows `loop(…)` by this form. What it writes is counted.
        let expr = match &own.expr {
            Expr::Call(call) => Expr::Call(self.call(call)),
            other => self.expr(other),
        };
        Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, own.span()))
    }

    pub(super) fn statement<'a>(&mut self, stmt: &Stmt<'a>) -> Stmt<'a> {
        match stmt {
            Stmt::Template(own) => {
                let children = self.all(&own.children);
                Stmt::Template(Spanned::new(Template { children }, own.span()))
            }
            Stmt::EmitExpr(own) => self.emitted(own),
            Stmt::EmitRaw(own) => {
                let (value, span) = (Value::from(own.raw), own.span());
                let expr = by(WEIGH, Expr::Const(Spanned::new(Const { value }, span)));
                Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, span))
            }
            Stmt::ForLoop(own) => {
                let made = ForLoop {
                    target: self.target(&own.target),
                    iter: self.expr(&own.iter),
                    filter_expr: self.optional(own.filter_expr.as_ref()),
                    recursive: own.recursive,
                    body: self.all(&own.body),
                    else_body: self.all(&own.else_body),
                };
                Stmt::ForLoop(Spanned::new(made, own.span()))
            }
            Stmt::IfCond(own) => {
                let made = IfCond {
                    expr: self.expr(&own.expr),
                    true_body: self.all(&own.true_body),
                    false_body: self.all(&own.false_body),
                };
                Stmt::IfCond(Spanned::new(made, own.span()))
            }
            Stmt::Set(own) => {
                let (target, expr) = (self.target(&own.target), self.expr(&own.expr));
                // What a namespace holds must not change once it was weighed.
                let expr = match target {
                    Expr::GetAttr(_) => by(ASSIGN, expr),
                    _ => expr,
                };
                Stmt::Set(Spanned::new(Set { target, expr }, own.span()))
            }
            Stmt::Do(own) => {
                let call = self.call(&own.call);
                Stmt::Do(Spanned::new(Do { call }, own.span()))
            }
            other => self.block(other),
        }
    }

    fn block<'a>(&mut self, stmt: &Stmt<'a>) -> Stmt<'a> {
        match stmt {
            Stmt::WithBlock(own) => {
                let assignments = own.assignments.iter();
                let assignments = assignments.map(|(to, expr)| (self.target(to), self.expr(expr)));
                let made = WithBlock {
                    assignments: assignments.collect(),
                    body: self.all(&own.body),
                };
                Stmt::WithBlock(Spanned::new(made, own.span()))
            }
            Stmt::SetBlock(own) => {
                let filter = match &own.filter {
                    Some(own) => self.expr(own),
                    None => filter(KEEP, None, own.span()),
                };
                let made = SetBlock {
                    target: self.target(&own.target),
                    filter: Some(filter),
                    body: self.all(&own.body),
                };
                Stmt::SetBlock(Spanned::new(made, own.span()))
            }
            Stmt::AutoEscape(own) => {
                let (enabled, body) = (self.expr(&own.enabled), self.all(&own.body));
                Stmt::AutoEscape(Spanned::new(AutoEscape { enabled, body }, own.span()))
            }
            Stmt::FilterBlock(own) => {
                let (filter, body) = (self.expr(&own.filter), self.all(&own.body));
                Stmt::FilterBlock(Spanned::new(FilterBlock { filter, body }, own.span()))
            }
            Stmt::Block(own) => {
                let made = Block {
                    name: own.name,
                    required: own.required,
                    body: self.all(&own.body),
                };
                Stmt::Block(Spanned::new(made, own.span()))
            }
            Stmt::Macro(own) => Stmt::Macro(self.macro_of(own)),
            Stmt::CallBlock(own) => {
                let made = CallBlock {
                    call: self.call(&own.call),
                    macro_decl: self.macro_of(&own.macro_decl),
                };
                Stmt::CallBlock(Spanned::new(made, own.span()))
            }
            other => Self::elsewhere(other),
        }
    }

    fn macro_of<'a>(&mut self, own: &Spanned<Macro<'a>>) -> Spanned<Macro<'a>> {
        let made = Macro {
            name: own.name,
            args: own.args.iter().map(|arg| self.target(arg)).collect(),
            defaults: self.many(&own.defaults),
            body: self.all(&own.body),
        };
        Spanned::new(made, own.span())
    }

    /// Other templates, which there are none of: what asks for one fails where it stands.
    fn elsewhere<'a>(stmt: &Stmt<'a>) -> Stmt<'a> {
        use minijinja::machinery::ast::{Break, Continue, Include};
        match stmt {
            Stmt::Continue(own) => Stmt::Continue(Spanned::new(Continue, own.span())),
            Stmt::Break(own) => Stmt::Break(Spanned::new(Break, own.span())),
            other => {
                let span = span(other);
                let value = Value::from("another template");
                let name = Expr::Const(Spanned::new(Const { value }, span));
                let ignore_missing = false;
                Stmt::Include(Spanned::new(
                    Include {
                        name,
                        ignore_missing,
                    },
                    span,
                ))
            }
        }
    }
}

fn span(stmt: &Stmt<'_>) -> Span {
    match stmt {
        Stmt::Import(own) => own.span(),
        Stmt::FromImport(own) => own.span(),
        Stmt::Extends(own) => own.span(),
        Stmt::Include(own) => own.span(),
        _ => Span::default(),
    }
}
