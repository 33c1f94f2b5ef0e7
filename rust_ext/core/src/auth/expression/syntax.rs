//! The grammar: text into a tree, bounded in length, depth and size.

use super::Fault;
use super::lexer::{Token, tokens};
use super::value::Value;

/// Bytes of an expression.
const MAX_TEXT: usize = 4 * 1024;
/// Parts within parts.
const MAX_DEPTH: u32 = 48;
/// Parts.
const MAX_PARTS: u32 = 1_024;
/// Parts below one another in the tree: evaluation goes down as deep.
const MAX_HEIGHT: u32 = 100;

/// Words that stand for nothing, so that a later version may give them a meaning.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A part of an expression and the byte where it stands.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) at: usize,
    pub(super) shape: Shape,
    /// Parts below it, one under the other.
    height: u32,
}

#[derive(Debug)]
pub(super) enum Shape {
    Literal(Value<'static>),
    Name(String),
    Select(Box<Part>, String),
    Index(Box<Part>, Box<Part>),
    Call(Option<Box<Part>>, String, Vec<Part>),
    List(Vec<Part>),
    Map(Vec<(Part, Part)>),
    Not(Box<Part>),
    Negate(Box<Part>),
    And(Box<Part>, Box<Part>),
    Or(Box<Part>, Box<Part>),
    If(Box<(Part, Part, Part)>),
    Binary(Operator, Box<Part>, Box<Part>),
}

/// Single parts, a list of them, and pairs.
type Below<'a> = ([Option<&'a Part>; 3], &'a [Part], &'a [(Part, Part)]);

impl Shape {
    /// The parts right below.
    fn parts(&self) -> impl Iterator<Item = &Part> {
        let (some, list, pairs): Below<'_> = match self {
            Self::Literal(_) | Self::Name(_) => ([None; 3], &[], &[]),
            Self::Select(a, _) | Self::Not(a) | Self::Negate(a) => ([Some(a), None, None], &[], &[]),
            Self::Index(a, b) | Self::And(a, b) | Self::Or(a, b) | Self::Binary(_, a, b) => {
                ([Some(a), Some(b), None], &[], &[])
            }
            Self::If(parts) => ([Some(&parts.0), Some(&parts.1), Some(&parts.2)], &[], &[]),
            Self::Call(of, _, args) => ([of.as_deref(), None, None], args, &[]),
            Self::List(items) => ([None; 3], items, &[]),
            Self::Map(members) => ([None; 3], &[], members),
        };
        some.into_iter().flatten().chain(list).chain(pairs.iter().flat_map(|(key, value)| [key, value]))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Part, Fault> {
    if text.len() > MAX_TEXT {
        return Err(Fault::new(0, format!("the expression has {} bytes, at most {MAX_TEXT} are allowed", text.len())));
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0, parts: 0 };
    let part = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(part),
        other => Err(Fault::new(parser.at(), format!("the expression has ended before {}", show(other)))),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: u32,
    parts: u32,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(at, _)| *at)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(one) if *one == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.take(sign) {
            return Ok(());
        }
        Err(Fault::new(self.at(), format!("{sign:?} is missing before {}", show(self.peek()))))
    }

    fn make(&mut self, at: usize, shape: Shape) -> Result<Part, Fault> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Fault::new(at, format!("the expression has more than {MAX_PARTS} parts")));
        }
        let height = 1 + shape.parts().map(|part| part.height).max().unwrap_or(0);
        if height > MAX_HEIGHT {
            return Err(Fault::new(at, format!("the expression is more than {MAX_HEIGHT} parts deep")));
        }
        Ok(Part { at, shape, height })
    }

    fn expression(&mut self) -> Result<Part, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::new(self.at(), format!("parts stand in more than {MAX_DEPTH} others here")));
        }
        let at = self.at();
        let first = self.or()?;
        let part = if self.take("?") {
            let yes = self.or()?;
            self.expect(":")?;
            let no = self.expression()?;
            self.make(at, Shape::If(Box::new((first, yes, no))))
        } else {
            Ok(first)
        };
        self.depth -= 1;
        part
    }

    /// Operators of one strength, from the left: a tree of many is as deep as it is long.
    fn chain(
        &mut self,
        under: fn(&mut Self) -> Result<Part, Fault>,
        join: impl Fn(&Token) -> Option<fn(Box<Part>, Box<Part>) -> Shape>,
    ) -> Result<Part, Fault> {
        let mut left = under(self)?;
        while let Some(shape) = join(self.peek()) {
            let at = self.at();
            self.next += 1;
            let right = under(self)?;
            left = self.make(at, shape(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn or(&mut self) -> Result<Part, Fault> {
        self.chain(Self::and, |token| matches!(token, Token::Sign("||")).then_some(Shape::Or as _))
    }

    fn and(&mut self) -> Result<Part, Fault> {
        self.chain(Self::relation, |token| matches!(token, Token::Sign("&&")).then_some(Shape::And as _))
    }

    fn relation(&mut self) -> Result<Part, Fault> {
        self.chain(Self::sum, |token| {
            Some(match token {
                Token::Sign("==") => |a, b| Shape::Binary(Operator::Equal, a, b),
                Token::Sign("!=") => |a, b| Shape::Binary(Operator::Unequal, a, b),
                Token::Sign("<") => |a, b| Shape::Binary(Operator::Less, a, b),
                Token::Sign("<=") => |a, b| Shape::Binary(Operator::AtMost, a, b),
                Token::Sign(">") => |a, b| Shape::Binary(Operator::Greater, a, b),
                Token::Sign(">=") => |a, b| Shape::Binary(Operator::AtLeast, a, b),
                Token::Name(name) if name == "in" => |a, b| Shape::Binary(Operator::In, a, b),
                _ => return None,
            })
        })
    }

    fn sum(&mut self) -> Result<Part, Fault> {
        self.chain(Self::product, |token| {
            Some(match token {
                Token::Sign("+") => |a, b| Shape::Binary(Operator::Add, a, b),
                Token::Sign("-") => |a, b| Shape::Binary(Operator::Subtract, a, b),
                _ => return None,
            })
        })
    }

    fn product(&mut self) -> Result<Part, Fault> {
        self.chain(Self::unary, |token| {
            Some(match token {
                Token::Sign("*") => |a, b| Shape::Binary(Operator::Multiply, a, b),
                Token::Sign("/") => |a, b| Shape::Binary(Operator::Divide, a, b),
                Token::Sign("%") => |a, b| Shape::Binary(Operator::Remainder, a, b),
                _ => return None,
            })
        })
    }

    fn unary(&mut self) -> Result<Part, Fault> {
        let at = self.at();
        let sign = if self.take("!") {
            "!"
        } else if self.take("-") {
            "-"
        } else {
            return self.member();
        };
        // A minus before digits belongs to the number, so that the least one can be written.
        if let (Token::Whole(magnitude), "-") = (self.peek(), sign) {
            let value = 0i64.checked_sub_unsigned(*magnitude);
            let value = value.ok_or_else(|| Fault::new(at, "a number out of the range of int".to_owned()))?;
            self.next += 1;
            let literal = self.make(at, Shape::Literal(Value::Int(value)))?;
            return self.members(literal);
        }
        let mut count = 1;
        while self.take(sign) {
            count += 1;
            if count > MAX_DEPTH {
                return Err(Fault::new(at, format!("more than {MAX_DEPTH} times {sign:?}")));
            }
        }
        let mut part = self.member()?;
        for _ in 0..count {
            let inner = Box::new(part);
            part = self.make(at, if sign == "!" { Shape::Not(inner) } else { Shape::Negate(inner) })?;
        }
        Ok(part)
    }

    fn member(&mut self) -> Result<Part, Fault> {
        let first = self.primary()?;
        self.members(first)
    }

    fn members(&mut self, mut part: Part) -> Result<Part, Fault> {
        loop {
            let at = self.at();
            if self.take(".") {
                let name = self.name()?;
                let of = Box::new(part);
                let shape =
                    if self.take("(") { Shape::Call(Some(of), name, self.list(")")?) } else { Shape::Select(of, name) };
                part = self.make(at, shape)?;
            } else if self.take("[") {
                let index = self.expression()?;
                self.expect("]")?;
                part = self.make(at, Shape::Index(Box::new(part), Box::new(index)))?;
            } else {
                return Ok(part);
            }
        }
    }

    fn name(&mut self) -> Result<String, Fault> {
        let Token::Name(name) = self.peek() else {
            return Err(Fault::new(self.at(), format!("a name is missing before {}", show(self.peek()))));
        };
        let name = name.clone();
        if ["true", "false", "null", "in"].contains(&name.as_str()) {
            return Err(Fault::new(self.at(), format!("{name} cannot be a name")));
        }
        self.next += 1;
        Ok(name)
    }

    fn primary(&mut self) -> Result<Part, Fault> {
        let at = self.at();
        let shape = match self.peek().clone() {
            Token::Literal(value) => {
                self.next += 1;
                Shape::Literal(value)
            }
            Token::Whole(magnitude) => {
                let value = i64::try_from(magnitude);
                self.next += 1;
                Shape::Literal(Value::Int(
                    value.map_err(|_| Fault::new(at, "a number out of the range of int".to_owned()))?,
                ))
            }
            Token::Name(name) => match name.as_str() {
                "true" | "false" | "null" => {
                    self.next += 1;
                    Shape::Literal(if name == "null" { Value::Null } else { Value::Bool(name == "true") })
                }
                one if RESERVED.contains(&one) => {
                    return Err(Fault::new(at, format!("{name} is reserved and cannot be a name")));
                }
                _ => {
                    let name = self.name()?;
                    if self.take("(") { Shape::Call(None, name, self.list(")")?) } else { Shape::Name(name) }
                }
            },
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => {
                self.next += 1;
                Shape::List(self.list("]")?)
            }
            Token::Sign("{") => {
                self.next += 1;
                Shape::Map(self.map()?)
            }
            other => return Err(Fault::new(at, format!("a value is missing before {}", show(&other)))),
        };
        self.make(at, shape)
    }

    fn list(&mut self, end: &str) -> Result<Vec<Part>, Fault> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.expression()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
            // Only a list may end in a comma.
            if end == ")" && matches!(self.peek(), Token::Sign(")")) {
                return Err(Fault::new(self.at(), "a value is missing before \")\"".to_owned()));
            }
        }
        Ok(items)
    }

    fn map(&mut self) -> Result<Vec<(Part, Part)>, Fault> {
        let mut members = Vec::new();
        while !self.take("}") {
            let key = self.expression()?;
            self.expect(":")?;
            members.push((key, self.expression()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(members)
    }
}

fn show(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("{name:?}"),
        Token::Sign(sign) => format!("{sign:?}"),
        Token::Whole(number) => number.to_string(),
        Token::Literal(_) => "a literal".to_owned(),
        Token::End => "the end".to_owned(),
    }
}
