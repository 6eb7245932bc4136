//! The map in `ARCHITECTURE.md` is true: a folder uses only what stands on a floor below its own, and files use each other in circles only
//! where the map names the circle. `WAN_ANIMATE_SRC` names another `src` folder to count circles in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What stands in `crate::`, as the files of `src` relative to it, and what each uses.
struct Crate {
    /// By module path, such as `gpu::engine`.
    files: BTreeMap<String, Source>,
}

struct Source {
    /// Relative to `src`.
    path: String,
    /// Whole paths of everything that the file names outside of its tests.
    uses: Vec<String>,
    /// Names that it passes on, and the paths that they stand for.
    passes_on: BTreeMap<String, String>,
}

impl Crate {
    fn read(src: &Path) -> Self {
        let mut paths = Vec::new();
        find(src, &mut paths);
        let modules: BTreeMap<String, PathBuf> = paths.into_iter().map(|path| (module(src, &path), path)).collect();
        let read = |(name, path): (&String, &PathBuf)| {
            let text = code(&fs::read_to_string(path).expect("a source file"));
            let relative = path.strip_prefix(src).expect("below src").to_string_lossy().into_owned();
            let (uses, passes_on) = used(&text, name, &modules);
            (name.clone(), Source { path: relative, uses, passes_on })
        };
        Self { files: modules.iter().map(read).collect() }
    }

    /// The module of the file that defines what a path names.
    fn definer(&self, path: &str) -> Option<String> {
        let mut segments = path.split("::").peekable();
        let mut module = String::new();
        while let Some(segment) = segments.peek() {
            let inner = join(&module, segment);
            if !self.files.contains_key(&inner) {
                break;
            }
            (module, _) = (inner, segments.next());
        }
        match segments.next().and_then(|name| self.files.get(&module)?.passes_on.get(name)) {
            Some(onward) if onward != path => self.definer(onward),
            _ => Some(module),
        }
    }

    /// What each file uses of the others.
    fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let path = |module: &str| self.files.get(module).map(|source| source.path.as_str());
        let targets = |(module, source): (&String, &Source)| {
            let used = source.uses.iter().filter_map(|used| self.definer(used)).filter(|used| used != module);
            used.filter_map(|used| path(&used)).collect::<BTreeSet<_>>()
        };
        self.files.iter().map(|entry| (entry.1.path.as_str(), targets(entry))).collect()
    }
}

fn find(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => find(&path, paths),
            false if path.extension().is_some_and(|extension| extension == "rs") => paths.push(path),
            false => {}
        }
    }
}

/// `gpu/engine/mod.rs` is `gpu::engine`; `lib.rs` is the root.
fn module(src: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(src).expect("below src").with_extension("");
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    let is_root = |part: &&std::borrow::Cow<str>| part != &"mod" && part != &"lib";
    parts.iter().filter(is_root).map(|part| part.as_ref()).collect::<Vec<_>>().join("::")
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.into() } else { format!("{module}::{name}") }
}

/// A file without comments and without its tests. Whom it shows a name is no use of theirs.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().replace("pub(in crate::", "pub(in ");
    text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line }).collect::<Vec<_>>().join("\n")
}

/// Paths in a file of the module `own`, and what it passes on.
fn used(text: &str, own: &str, modules: &BTreeMap<String, PathBuf>) -> (Vec<String>, BTreeMap<String, String>) {
    let (mut uses, mut passes_on) = (Vec::new(), BTreeMap::new());
    let mut rest = String::new();
    for statement in text.split(';') {
        let start =
            statement.rfind("use ").filter(|&at| statement[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric()));
        let tree = start.map(|at| statement[at + 4..].split_whitespace().collect::<Vec<_>>().join(" "));
        match tree.filter(|tree| tree.starts_with(|first: char| first.is_alphabetic())) {
            Some(tree) => {
                let is_public = statement[..start.unwrap_or(0)].trim_end().ends_with([')', 'b']);
                for (path, name) in leaves(&tree) {
                    let Some(path) = absolute(&path, own, modules) else { continue };
                    if is_public || own.is_empty() {
                        passes_on.insert(name, path.clone());
                    }
                    uses.push(path);
                }
            }
            None => rest.push_str(statement),
        }
        rest.push('\n');
    }
    let children = modules.keys().filter_map(|module| module.rsplit_once("::").filter(|(parent, _)| *parent == own));
    let roots: Vec<String> = children.map(|(_, name)| format!("{name}::")).chain(["crate::".into(), "super::".into()]).collect();
    let is_start = |at: &usize| !rest[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':');
    let inline = roots.iter().flat_map(|root| rest.match_indices(root.as_str()).map(|(at, _)| at)).filter(is_start);
    for at in inline {
        let path: String = rest[at..].chars().take_while(|&c| c.is_alphanumeric() || c == '_' || c == ':').collect();
        uses.extend(absolute(path.trim_end_matches(':'), own, modules));
    }
    (uses, passes_on)
}

/// `a::{b, c as d}` names a::b as b, and a::c as d.
fn leaves(tree: &str) -> Vec<(String, String)> {
    let Some((root, inner)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, tree.rsplit("::").next().unwrap_or(tree)));
        return vec![(path.trim().into(), name.trim().into())];
    };
    let inner = inner.trim_end().trim_end_matches('}');
    let (mut depth, mut part, mut parts) = (0, String::new(), Vec::new());
    for letter in inner.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match letter {
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => part.push(letter),
        }
    }
    parts.push(part);
    let whole = |part: &String| match part.trim() {
        "self" => {
            (root.trim_end_matches("::").to_string(), root.trim_end_matches("::").rsplit("::").next().unwrap_or_default().to_string())
        }
        part if part.starts_with("self as") => (root.trim_end_matches("::").to_string(), part[7..].trim().to_string()),
        part => (format!("{root}{part}"), String::new()),
    };
    let parts = parts.iter().filter(|part| !part.trim().is_empty()).map(whole);
    parts.flat_map(|(path, name)| if name.is_empty() { leaves(&path) } else { vec![(path, name)] }).collect()
}

/// From the crate's root; none for other crates.
fn absolute(path: &str, own: &str, modules: &BTreeMap<String, PathBuf>) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.into());
    }
    let (mut module, mut rest) = (own.to_string(), path);
    if let Some(path) = path.strip_prefix("self::") {
        rest = path;
    }
    while let Some(path) = rest.strip_prefix("super::") {
        module = module.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.into());
        rest = path;
    }
    let whole = join(&module, rest);
    let first = join(&module, rest.split("::").next()?);
    (rest != path || modules.contains_key(&first)).then_some(whole)
}

/// Groups of nodes that reach each other, each of two or more.
fn circles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<BTreeSet<&'a str>> {
    let reach = |from: &'a str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(node) = open.pop() {
            let next = edges.get(node).into_iter().flatten().copied();
            open.extend(next.filter(|&next| seen.insert(next)));
        }
        seen
    };
    let reaches: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|&node| (node, reach(node))).collect();
    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for (&node, seen) in &reaches {
        let circle: BTreeSet<_> = seen.iter().copied().filter(|other| reaches.get(other).is_some_and(|back| back.contains(node))).collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// `gpu/engine/live.rs` stands in `gpu`, `error.rs` by itself.
fn folder(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or(path)
}

fn between_folders<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, targets) in edges {
        let others = targets.iter().map(|to| folder(to)).filter(|to| *to != folder(from));
        folders.entry(folder(from)).or_default().extend(others);
    }
    folders
}

fn source() -> PathBuf {
    std::env::var_os("WAN_ANIMATE_SRC").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), PathBuf::from)
}

/// The lines of a block of the map, which is fenced as `text NAME`.
fn map(name: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let block = text.split(&format!("```text {name}\n")).nth(1).and_then(|rest| rest.split("```").next());
    block.unwrap_or_else(|| panic!("the map has no block `{name}`")).lines().map(str::to_string).collect()
}

#[test]
fn folders_stand_on_floors() {
    let whole = Crate::read(&source());
    let edges = whole.edges();
    // A line a floor, the highest first: names, then three blanks or more and what they are.
    let mut floors = BTreeMap::new();
    for (floor, line) in map("floors").iter().rev().enumerate() {
        let names = line.split("   ").next().unwrap_or_default();
        floors.extend(names.split_whitespace().filter(|name| *name != "·").map(|name| (name.to_string(), floor)));
    }
    // The root and what shows its insides to tests stand above all.
    let known = |name: &&&str| !matches!(**name, "lib" | "unversioned");
    let folders: BTreeSet<_> = edges.keys().map(|path| folder(path)).collect();
    let missing: Vec<_> = folders.iter().filter(known).filter(|name| !floors.contains_key(**name)).collect();
    assert!(missing.is_empty(), "not on the map: {missing:?}");
    let mut wrong = Vec::new();
    for (from, targets) in &edges {
        let up = targets.iter().filter(|to| folder(to) != folder(from) && known(&&folder(from)));
        wrong.extend(up.filter(|to| floors.get(folder(to)) >= floors.get(folder(from))).map(|to| format!("{from} uses {to}")));
    }
    assert!(wrong.is_empty(), "against the floors:\n{}", wrong.join("\n"));
}

#[test]
fn files_use_each_other_in_no_circle_but_those_on_the_map() {
    let whole = Crate::read(&source());
    let edges = whole.edges();
    let folders = between_folders(&edges);
    let found: BTreeSet<String> = circles(&edges).into_iter().map(|circle| circle.into_iter().collect::<Vec<_>>().join(" ")).collect();
    println!("{} circles of folders: {:?}", circles(&folders).len(), circles(&folders));
    println!("{} circles of files:\n{}", found.len(), found.iter().cloned().collect::<Vec<_>>().join("\n"));
    assert!(circles(&folders).is_empty(), "folders use each other: {:?}", circles(&folders));
    let defended: BTreeSet<String> = map("circles").into_iter().filter(|line| !line.is_empty()).collect();
    assert!(found == defended, "circles of files that the map does not name, or names in vain:\n{found:#?}\n{defended:#?}");
}

/// Lines from the name of a function to its closing brace, as rustfmt sets them.
fn functions(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<_> = text.lines().collect();
    let is_function = |line: &str| {
        line.trim_start().split("fn ").next().is_some_and(|before| {
            line.contains("fn ")
                && before.split_whitespace().all(|word| word.starts_with("pub") || ["const", "async", "unsafe"].contains(&word))
        })
    };
    let length = |(start, line): (usize, &&str)| {
        let indent = line.len() - line.trim_start().len();
        let end = lines[start..].iter().position(|line| line.len() == indent + 1 && line.ends_with('}'))?;
        Some((end + 1, line.trim().to_string()))
    };
    lines.iter().enumerate().filter(|(_, line)| is_function(line)).filter_map(length).collect()
}

#[test]
fn functions_are_short() {
    let mut paths = Vec::new();
    find(&source(), &mut paths);
    let all = paths.iter().flat_map(|path| functions(&fs::read_to_string(path).expect("a source file")));
    let long: Vec<_> = all.filter(|(lines, _)| *lines > 45).collect();
    assert!(long.is_empty(), "functions of more than 45 lines: {long:?}");
    assert_eq!(functions("fn a() {\n    b\n}\n\npub(crate) const fn c() {\n}\n").iter().map(|found| found.0).collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn a_circle_is_found() {
    let modules: BTreeMap<String, PathBuf> = ["a", "a::b", "c"].map(|name| (name.to_string(), PathBuf::new())).into();
    let (uses, passes_on) =
        used("pub use b::{X, Y as Z};\nuse crate::c::{self, d::E};\nuse std::fmt;\nfn f() { super::c::g(); }", "a", &modules);
    assert_eq!(uses, ["a::b::X", "a::b::Y", "c", "c::d::E", "c::g"]);
    assert_eq!(passes_on["Z"], "a::b::Y");
    let edges = BTreeMap::from([("x", ["y"].into()), ("y", ["z"].into()), ("z", ["y"].into())]);
    assert_eq!(circles(&edges), [BTreeSet::from(["y", "z"])]);
}
