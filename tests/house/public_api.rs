//! The public API, item by item, is what `public_api.txt` says: so it changes knowingly. `WAN_ANIMATE_UPDATE=1 cargo test --test public_api`
//! writes the list anew.
//!
//! It is read from the source as rustdoc would: from `lib.rs` on through its `pub use` and `pub mod`, without what is `#[doc(hidden)]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, Signature, TraitItem, Type, UseTree, Visibility};

/// Where an item stands, and its name there.
type Place = (String, String);

/// What has been found.
#[derive(Default)]
struct Listing {
    lines: BTreeSet<String>,
    /// Public paths of types.
    types: BTreeMap<Place, String>,
    /// Functions that may fail and do not say how.
    silent: Vec<String>,
}

impl Listing {
    fn function(&mut self, public: &str, signature: &Signature, attributes: &[Attribute], given: &str) {
        self.lines.insert(format!("{public}: {given}{}", text(signature)));
        let is_fallible = text(&signature.output).trim().starts_with("-> Result<");
        let is_told = attributes.iter().any(|attribute| attribute.to_token_stream().to_string().contains("# Errors"));
        self.silent.extend((is_fallible && !is_told).then(|| public.to_string()));
    }
}

/// All source files by module path; the root's is empty.
struct Crate(BTreeMap<String, Vec<Item>>);

impl Crate {
    fn read(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        find(src, &mut |path| {
            let relative = path.strip_prefix(src).expect("below src").with_extension("");
            let parts = relative.iter().map(|part| part.to_string_lossy()).filter(|part| part != "mod" && part != "lib");
            let text = fs::read_to_string(path).expect("a source file");
            files.insert(parts.collect::<Vec<_>>().join("::"), syn::parse_file(&text).expect("Rust").items);
        });
        Self(files)
    }

    /// Where the item is defined that `name` means in a module; none for what is not of this crate.
    fn definition(&self, module: &str, name: &str) -> Option<Place> {
        let items = self.0.get(module)?;
        if items.iter().any(|item| name_of(item).is_some_and(|own| own == name)) {
            return Some((module.into(), name.into()));
        }
        let uses = items.iter().filter_map(|item| if let Item::Use(item) = item { Some(&item.tree) } else { None });
        let (path, _) = uses.flat_map(leaves).find(|(_, known)| known == name)?;
        // A name alone is another crate's.
        if path.len() == 1 { None } else { self.follow(module, &path) }
    }

    fn follow(&self, module: &str, path: &[String]) -> Option<Place> {
        let (name, parents) = path.split_last()?;
        let mut at = module.to_string();
        for (i, part) in parents.iter().enumerate() {
            at = match part.as_str() {
                "crate" => String::new(),
                "self" => at,
                "super" => at.rsplit_once("::").map_or_else(String::new, |(parent, _)| parent.into()),
                part => Some(join(&at, part)).filter(|inner| self.0.contains_key(inner) || i > 0)?,
            };
        }
        self.definition(&at, name)
    }

    /// Lists what a module shows under a public path.
    fn list(&self, module: &str, public: &str, listing: &mut Listing) {
        for item in self.0[module].iter().filter(|item| is_public(item)) {
            match item {
                Item::Use(item) => {
                    for (path, name) in leaves(&item.tree) {
                        match self.follow(module, &path) {
                            Some(place) => self.item(&place, &join(public, &name), listing),
                            None => listing.lines.extend([format!("pub use {}", path.join("::"))]),
                        }
                    }
                }
                Item::Mod(item) => self.list(&join(module, &item.ident.to_string()), &join(public, &item.ident.to_string()), listing),
                item => {
                    let name = name_of(item).expect("a named item");
                    self.item(&(module.into(), name.clone()), &join(public, &name), listing);
                }
            }
        }
    }

    fn item(&self, place: &Place, public: &str, listing: &mut Listing) {
        let item = self.0[&place.0].iter().find(|item| name_of(item).is_some_and(|name| name == place.1)).expect("the definition");
        if !is_public(item) {
            return;
        }
        listing.types.insert(place.clone(), public.into());
        if let Item::Fn(item) = item {
            listing.function(public, &item.sig, &item.attrs, "");
        }
        let mut add = |line: String| {
            listing.lines.insert(line);
        };
        match item {
            Item::Fn(_) => {}
            Item::Const(item) => add(format!("{public}: const {}", text(&item.ty))),
            Item::Type(item) => add(format!("{public}: type {} = {}", text(&item.generics), text(&item.ty))),
            Item::Struct(item) => {
                add(format!("{public}: {}struct {}", marks(&item.attrs), text(&item.generics)));
                fields(public, &item.fields, true).into_iter().for_each(add);
            }
            Item::Enum(item) => {
                add(format!("{public}: {}enum {}", marks(&item.attrs), text(&item.generics)));
                for variant in &item.variants {
                    let name = format!("{public}::{}", variant.ident);
                    add(format!("{name}: {}variant", marks(&variant.attrs)));
                    fields(&name, &variant.fields, false).into_iter().for_each(&mut add);
                }
            }
            Item::Trait(item) => {
                listing.lines.insert(format!("{public}: {}trait: {}", marks(&item.attrs), text(&item.supertraits)));
                for inner in &item.items {
                    match inner {
                        TraitItem::Fn(function) if is_shown(&function.attrs) => {
                            let given = if function.default.is_some() { "provided " } else { "" };
                            listing.function(&join(public, &function.sig.ident.to_string()), &function.sig, &function.attrs, given);
                        }
                        _ => {}
                    }
                }
            }
            _ => panic!("{public}: an item of a kind that the list does not know"),
        }
    }

    /// Lists the methods and traits of public types.
    fn impls(&self, listing: &mut Listing) {
        for (module, items) in &self.0 {
            for item in items.iter().filter_map(|item| if let Item::Impl(item) = item { Some(item) } else { None }) {
                let Type::Path(path) = &*item.self_ty else { continue };
                let path: Vec<_> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
                let public = self.follow(module, &path).and_then(|place| listing.types.get(&place).cloned());
                // Traits that are not public promise nothing.
                let path =
                    item.trait_.as_ref().map(|(path, _)| path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
                let is_inside = path.and_then(|path| self.follow(module, &path)).is_some_and(|place| !listing.types.contains_key(&place));
                if let Some(public) = public.filter(|_| is_shown(&item.attrs) && !is_inside) {
                    impl_of(&public, item, listing);
                }
            }
        }
    }
}

fn impl_of(public: &str, item: &ItemImpl, listing: &mut Listing) {
    // What a method's type is of: `Builder<'_, VideoPipeline>` has some that others have not.
    let own = text(&item.self_ty);
    let plain = |name: &str| own == name || own.starts_with(&format!("{name}<'a,P>"));
    let of = if plain(public.rsplit("::").next().unwrap_or(public)) { String::new() } else { format!(" of {own}") };
    if let Some((path, _)) = &item.trait_ {
        if path.segments.last().is_none_or(|segment| segment.ident != "Sealed") {
            listing.lines.insert(format!("{public}: impl {}{} for {own}", text(&item.generics), text(path)));
        }
        return;
    }
    for inner in &item.items {
        match inner {
            ImplItem::Fn(function) if matches!(function.vis, Visibility::Public(_)) && is_shown(&function.attrs) => {
                let name = format!("{}{of}", function.sig.ident);
                listing.function(&join(public, &name), &function.sig, &function.attrs, "");
            }
            ImplItem::Const(constant) if matches!(constant.vis, Visibility::Public(_)) && is_shown(&constant.attrs) => {
                listing.lines.insert(format!("{public}::{}: const {}", constant.ident, text(&constant.ty)));
            }
            _ => {}
        }
    }
}

fn find(folder: &Path, each: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => find(&path, each),
            false if path.extension().is_some_and(|extension| extension == "rs") => each(&path),
            false => {}
        }
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.into() } else { format!("{module}::{name}") }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn is_public(item: &Item) -> bool {
    let (visibility, attributes) = match item {
        Item::Const(item) => (&item.vis, &item.attrs),
        Item::Enum(item) => (&item.vis, &item.attrs),
        Item::Fn(item) => (&item.vis, &item.attrs),
        Item::Mod(item) => (&item.vis, &item.attrs),
        Item::Static(item) => (&item.vis, &item.attrs),
        Item::Struct(item) => (&item.vis, &item.attrs),
        Item::Trait(item) => (&item.vis, &item.attrs),
        Item::Type(item) => (&item.vis, &item.attrs),
        Item::Use(item) => (&item.vis, &item.attrs),
        _ => return false,
    };
    matches!(visibility, Visibility::Public(_)) && is_shown(attributes)
}

/// Not hidden from the documentation, and no test.
fn is_shown(attributes: &[Attribute]) -> bool {
    attributes.iter().map(text).all(|attribute| attribute != "#[doc(hidden)]" && attribute != "#[cfg(test)]")
}

/// What of the attributes is a promise, or takes one back.
fn marks(attributes: &[Attribute]) -> String {
    let attributes = attributes.iter().map(text);
    let kept = attributes.filter(|attribute| ["#[derive", "#[non_exhaustive", "#[must_use"].iter().any(|mark| attribute.starts_with(mark)));
    let plain = |attribute: String| if attribute.starts_with("#[must_use") { "#[must_use] ".into() } else { attribute + " " };
    kept.map(plain).collect()
}

fn fields(of: &str, fields: &Fields, has_visibility: bool) -> Vec<String> {
    let shown = fields.iter().enumerate().filter(|(_, field)| !has_visibility || matches!(field.vis, Visibility::Public(_)));
    let name = |i: usize, field: &syn::Field| field.ident.as_ref().map_or_else(|| i.to_string(), |name| name.to_string());
    shown.map(|(i, field)| format!("{of}.{}: {}", name(i, field), text(&field.ty))).collect()
}

/// `a::{b, c as d}` names a::b as b, and a::c as d.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    let inner = |prefix: String, tree: &UseTree| {
        let longer = |(path, name): (Vec<String>, String)| ([vec![prefix.clone()], path].concat(), name);
        leaves(tree).into_iter().map(longer).collect()
    };
    match tree {
        UseTree::Path(path) => inner(path.ident.to_string(), &path.tree),
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], rename.rename.to_string())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        UseTree::Glob(_) => Vec::new(),
    }
}

/// As it is written, with single spaces between words alone.
fn text(tokens: &impl ToTokens) -> String {
    let spaced = tokens.to_token_stream().to_string();
    let is_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || "_'>&)".contains(letter));
    let mut plain = String::new();
    for word in spaced.split_whitespace() {
        let starts_word = word.starts_with(|letter: char| letter.is_alphanumeric() || "_'&".contains(letter));
        let needs_space = (is_word(plain.chars().last()) && starts_word) || ["->", "=", "+", "where"].contains(&word);
        if needs_space
            || plain.ends_with([',', ';'])
            || plain.ends_with("->")
            || plain.ends_with(" =")
            || plain.ends_with(" +")
            || plain.ends_with(':') && !plain.ends_with("::")
        {
            plain.push(' ');
        }
        plain.push_str(word);
    }
    plain.replace("< ", "<").replace("& ", "&").replace(",)", ")")
}

fn listing(root: &Path) -> Listing {
    let (source, mut listing) = (Crate::read(&root.join("src")), Listing::default());
    source.list("", "", &mut listing);
    source.impls(&mut listing);
    listing
}

/// Which variants of the error there may be is said in a section of its own.
#[test]
fn what_may_fail_says_how() {
    let Listing { silent, .. } = listing(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(silent.is_empty(), "without a section `# Errors`:\n{}", silent.join("\n"));
}

#[test]
fn the_public_api_is_as_listed() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let listing = listing(&root);
    let lines: BTreeSet<_> = listing.lines.iter().map(|line| line.trim_end().to_string()).collect();
    let file = root.join("tests/public_api.txt");
    if std::env::var_os("WAN_ANIMATE_UPDATE").is_some() {
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("written");
    }
    let listed: BTreeSet<String> = fs::read_to_string(&file).expect("the list").lines().map(str::to_string).collect();
    let difference =
        |sign: char, a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).map(|line| format!("{sign} {line}\n")).collect::<String>();
    let changes = difference('-', &listed, &lines) + &difference('+', &lines, &listed);
    assert!(changes.is_empty(), "the public API has changed; if that is meant, see the top of this test:\n{changes}");
    assert!(lines.len() > 300, "{} lines: the walk has lost its way", lines.len());
}
