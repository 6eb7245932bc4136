//! The way from names of tensors in official releases and GGUF files to those in diffusers' layout, and back, by tables that models give.

/// The names of one model in one layout, beside diffusers' and transformers' names for the same tensors.
#[derive(Debug)]
pub struct Table {
    /// Which model and layout it is.
    pub name: &'static str,
    /// A tensor that no other layout has.
    pub sign: &'static str,
    /// Modules by their full path. Of several that fit, from either side, the first counts.
    pub modules: &'static [&'static [Rule]],
    /// What lies within modules, the first that fits from either side; what is not listed keeps its name.
    pub inner: &'static [(&'static str, &'static str)],
    /// Endings of diffusers' names whose extents of 1 the other layout has and diffusers has not.
    pub squeezed: &'static [&'static str],
}

/// A module there, and what it is here: of two or more, each gets its part of the first axis; of none, it is not needed. `{}` stands for a
/// number, `{+1}` for that number and one, `{4}` for four times a number and a second one below four, `{4+3}` for four times a number and three.
pub type Rule = (&'static str, &'static [&'static str]);

/// Where a tensor in diffusers' layout comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name there.
    pub name: String,
    /// Which part of the first axis it is, counted from 0.
    pub part: usize,
    /// Of how many equal parts.
    pub parts: usize,
}

impl Table {
    /// What a tensor is called in diffusers' layout: several names where it is cut, none where it is not needed, `None` where it is unknown.
    pub fn to_diffusers(&self, name: &str) -> Option<Vec<String>> {
        self.rules().find_map(|(there, here)| {
            let (numbers, rest) = matches(there, name)?;
            let rest = translate(rest, self.inner.iter().copied());
            Some(here.iter().map(|pattern| fill(pattern, &numbers) + &rest).collect())
        })
    }

    /// Where a tensor of diffusers' layout comes from, or `None` where it is unknown.
    pub fn to_origin(&self, name: &str) -> Option<Origin> {
        self.rules().find_map(|(there, here)| {
            let fits = |(part, pattern): (usize, &&str)| matches(pattern, name).map(|(numbers, rest)| (part, numbers, rest));
            let (part, numbers, rest) = here.iter().enumerate().find_map(fits)?;
            let rest = translate(rest, self.inner.iter().map(|&(there, here)| (here, there)));
            let origin = fill(there, &numbers) + &rest;
            // Another rule may come first for that name; then this one does not lead here.
            let leads_here = self.to_diffusers(&origin).is_some_and(|names| names.get(part).is_some_and(|found| found == name));
            leads_here.then_some(Origin { name: origin, part, parts: here.len() })
        })
    }

    /// Whether the tensor that diffusers calls `name` has extents of 1 there that it has not here.
    pub(super) fn is_squeezed(&self, name: &str) -> bool {
        self.squeezed.iter().any(|ending| name.ends_with(ending))
    }

    fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        self.modules.iter().copied().flatten()
    }
}

/// The numbers that a pattern's braces stand for in `name`, and what follows it there.
fn matches<'a>(pattern: &str, name: &'a str) -> Option<(Vec<u32>, &'a str)> {
    let mut numbers = Vec::new();
    let mut rest = name;
    for (i, part) in pattern.split('.').enumerate() {
        let text = if i == 0 { rest } else { rest.strip_prefix('.')? };
        let (segment, _) = text.split_once('.').unwrap_or((text, ""));
        match Piece::of(part) {
            Piece::Number => numbers.push(segment.parse().ok()?),
            Piece::OneMore => numbers.push(segment.parse::<u32>().ok()?.checked_sub(1)?),
            Piece::Pair(each) => {
                let number: u32 = segment.parse().ok()?;
                numbers.extend([number / each, number % each]);
            }
            Piece::Every(each, rest) => {
                let number: u32 = segment.parse().ok()?;
                numbers.push((number % each == rest).then_some(number / each)?);
            }
            Piece::Text if part == segment => {}
            Piece::Text => return None,
        }
        rest = &text[segment.len()..];
    }
    Some((numbers, rest))
}

fn fill(pattern: &str, numbers: &[u32]) -> String {
    let mut numbers = numbers.iter().copied();
    // Numbers come from names, and can be anything: those that are too large are no name's.
    let mut next = || numbers.next().unwrap_or(u32::MAX);
    let mut part = |part: &str| match Piece::of(part) {
        Piece::Number => next().to_string(),
        Piece::OneMore => next().saturating_add(1).to_string(),
        Piece::Pair(each) => next().saturating_mul(each).saturating_add(next()).to_string(),
        Piece::Every(each, rest) => next().saturating_mul(each).saturating_add(rest).to_string(),
        Piece::Text => part.into(),
    };
    pattern.split('.').map(&mut part).collect::<Vec<_>>().join(".")
}

/// A part of a [`Rule`]'s pattern, between dots.
enum Piece {
    Text,
    Number,
    OneMore,
    Pair(u32),
    Every(u32, u32),
}

impl Piece {
    fn of(part: &str) -> Self {
        let Some(inner) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else { return Self::Text };
        let (each, rest) = inner.split_once('+').map_or((inner, None), |(each, rest)| (each, rest.parse().ok()));
        match (each.parse(), rest) {
            (Ok(each), Some(rest)) => Self::Every(each, rest),
            (Ok(each), None) => Self::Pair(each),
            (Err(_), Some(_)) => Self::OneMore,
            (Err(_), None) => Self::Number,
        }
    }
}

/// What follows a module's name, with what it begins with replaced.
fn translate(rest: &str, pairs: impl Iterator<Item = (&'static str, &'static str)>) -> String {
    let found = rest.strip_prefix('.').and_then(|inner| {
        pairs
            .filter_map(|(from, to)| inner.strip_prefix(from).map(|after| (to, after)))
            .find(|(_, after)| after.is_empty() || after.starts_with('.'))
    });
    found.map_or_else(|| rest.into(), |(to, after)| format!(".{to}{after}"))
}
