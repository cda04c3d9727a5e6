//! The session's crate as rust-analyzer sees it, with its dependencies and the standard library.

use super::Item;
use ra_ap_ide::{
    AnalysisHost, CompletionConfig, CompletionFieldsToResolve, CompletionItem, CompletionItemKind, FileId,
    FilePosition, FileRange, HoverConfig, HoverDocFormat, RaFixtureConfig, SourceRoot, SubstTyLen, SymbolKind,
    TextRange, TextSize,
};
use ra_ap_ide_db::imports::insert_use::{ImportGranularity, InsertUseConfig, PrefixKind};
use ra_ap_ide_db::{ChangeWithProcMacros, FxHashMap};
use ra_ap_project_model::{CargoConfig, ProjectManifest, ProjectWorkspace, RustLibSource};
use ra_ap_vfs::file_set::FileSetConfig;
use ra_ap_vfs::{AbsPathBuf, Change, Vfs, VfsPath};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A cargo project that has been read.
pub struct Project {
    host: AnalysisHost,
    vfs: Vfs,
    manifest: PathBuf,
    /// The manifest as it was when the project was read.
    seen: Vec<u8>,
    /// The file that evcxr writes.
    file: FileId,
    source: String,
}

impl Project {
    /// Reads a project: its dependencies, the standard library, and no source yet.
    ///
    /// # Errors
    /// If there is no project, or cargo cannot say what it depends on.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let file = directory.join("src/lib.rs");
        let mut vfs = Vfs::default();
        let path: VfsPath = absolute(&file)?.into();
        vfs.set_file_contents(path.clone(), Some(Vec::new()));
        let (id, _) = vfs.file_id(&path).ok_or_else(|| io::Error::other("the source has no number"))?;
        let manifest = directory.join("Cargo.toml");
        let mut project =
            Self { host: AnalysisHost::default(), vfs, manifest, seen: Vec::new(), file: id, source: String::new() };
        project.read_if_changed()?;
        Ok(project)
    }

    /// Sets the text of the source, and reads the project again if its manifest has changed.
    ///
    /// # Errors
    /// As `open`.
    pub fn set_source(&mut self, source: &str) -> io::Result<()> {
        self.read_if_changed()?;
        source.clone_into(&mut self.source);
        let mut change = ChangeWithProcMacros::default();
        change.change_file(self.file, Some(self.source.clone()));
        self.host.apply_change(change);
        Ok(())
    }

    fn read_if_changed(&mut self) -> io::Result<()> {
        let now = fs::read(&self.manifest)?;
        if now == self.seen {
            return Ok(());
        }
        let other = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
        let manifest = ProjectManifest::from_manifest_file(absolute(&self.manifest)?).map_err(|error| other(&error))?;
        let config = CargoConfig { sysroot: Some(RustLibSource::Discover), ..CargoConfig::default() };
        let workspace = ProjectWorkspace::load(manifest, &config, &|_| {}).map_err(|error| other(&error))?;
        for root in workspace.to_roots() {
            let excluded: Vec<PathBuf> = root.exclude.iter().map(|path| path.clone().into()).collect();
            for directory in &root.include {
                self.read_directory(directory.as_ref(), &excluded);
            }
        }
        let mut change = ChangeWithProcMacros::default();
        for (id, file) in self.vfs.take_changes() {
            let text = match file.change {
                Change::Create(bytes, _) | Change::Modify(bytes, _) => String::from_utf8(bytes).ok(),
                Change::Delete => None,
            };
            change.change_file(id, text);
        }
        let roots = FileSetConfig::default().partition(&self.vfs);
        change.set_roots(roots.into_iter().map(SourceRoot::new_local).collect());
        let mut find = |path: &ra_ap_vfs::AbsPath| self.vfs.file_id(&path.to_path_buf().into()).map(|(id, _)| id);
        let (graph, _) = workspace.to_crate_graph(&mut find, &FxHashMap::default());
        change.set_crate_graph(graph);
        change.change_file(self.file, Some(self.source.clone()));
        self.host.apply_change(change);
        self.seen = now;
        Ok(())
    }

    /// Reads the Rust files below a directory. What cannot be read is left out: the crate is known without it.
    fn read_directory(&mut self, directory: &Path, excluded: &[PathBuf]) {
        let mut open = vec![directory.to_owned()];
        while let Some(path) = open.pop() {
            if excluded.contains(&path) {
                continue;
            }
            if path.is_dir() {
                open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && let Ok(absolute) = absolute(&path)
            {
                self.vfs.set_file_contents(absolute.into(), fs::read(&path).ok());
            }
        }
    }

    /// What could stand at a byte offset, and how many bytes of the word before and after it that replaces.
    pub fn completions(&self, offset: u32) -> Option<(Vec<Item>, usize, usize)> {
        let position = FilePosition { file_id: self.file, offset: offset.into() };
        let found = self.host.analysis().completions(&completion_config(), position, None).ok()??;
        let cursor = TextSize::from(offset);
        let word = |item: &CompletionItem| item.source_range;
        let range = found.first().map(word).unwrap_or(TextRange::empty(cursor));
        let typed = self.source.get(usize::from(range.start())..usize::from(cursor)).unwrap_or_default();
        let fits = |item: &&CompletionItem| item.lookup().starts_with(typed) && item.source_range == range;
        let mut found: Vec<CompletionItem> = found.iter().filter(fits).cloned().collect();
        found.sort_by_key(|item| std::cmp::Reverse(item.relevance.score()));
        let mut items: Vec<Item> = Vec::new();
        // A method of several receivers, and one by a trait, are one to who types it.
        for item in found.iter().filter_map(item) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        Some((items, usize::from(cursor - range.start()), usize::from(range.end() - cursor)))
    }

    /// What is known of the word before a byte offset, or at it.
    pub fn hover(&self, offset: u32, as_markdown: bool) -> Option<String> {
        let config = HoverConfig {
            links_in_hover: true,
            memory_layout: None,
            documentation: true,
            keywords: true,
            format: if as_markdown { HoverDocFormat::Markdown } else { HoverDocFormat::PlainText },
            max_trait_assoc_items_count: None,
            max_fields_count: Some(5),
            max_enum_variants_count: Some(5),
            max_subst_ty_len: SubstTyLen::Unlimited,
            show_drop_glue: false,
            ra_fixture: RaFixtureConfig::default(),
        };
        let range = TextRange::empty(offset.into());
        let found = self.host.analysis().hover(&config, FileRange { file_id: self.file, range }).ok()??;
        Some(String::from(found.info.markup))
    }
}

fn completion_config() -> CompletionConfig<'static> {
    CompletionConfig {
        enable_postfix_completions: false,
        enable_imports_on_the_fly: false,
        enable_self_on_the_fly: true,
        enable_auto_iter: false,
        enable_auto_await: false,
        enable_private_editable: true,
        enable_term_search: false,
        term_search_fuel: 0,
        full_function_signatures: false,
        callable: None,
        add_colons_to_module: true,
        add_semicolon_to_unit: false,
        // Text alone: a notebook's front end knows no snippets.
        snippet_cap: None,
        insert_use: InsertUseConfig {
            granularity: ImportGranularity::Item,
            enforce_granularity: false,
            prefix_kind: PrefixKind::ByCrate,
            group: false,
            skip_glob_imports: false,
        },
        prefer_no_std: false,
        prefer_prelude: true,
        prefer_absolute: false,
        snippets: Vec::new(),
        limit: None,
        fields_to_resolve: CompletionFieldsToResolve::empty(),
        exclude_flyimport: Vec::new(),
        exclude_traits: &[],
        ra_fixture: RaFixtureConfig::default(),
    }
}

/// A proposal that replaces the word, if it is one.
fn item(found: &CompletionItem) -> Option<Item> {
    let mut edits = found.text_edit.iter();
    let edit = edits.next()?;
    // Internal names are not for people.
    let internal = edit.insert.starts_with("evcxr_") || edit.insert.starts_with("machine_cursor");
    if internal || edits.next().is_some() || edit.delete != found.source_range {
        return None;
    }
    Some(Item { text: edit.insert.clone(), kind: kind(found.kind).to_owned() })
}

/// The kind as front ends know it.
fn kind(kind: CompletionItemKind) -> &'static str {
    match kind {
        CompletionItemKind::SymbolKind(symbol) => match symbol {
            SymbolKind::Function
            | SymbolKind::Method
            | SymbolKind::Macro
            | SymbolKind::Derive
            | SymbolKind::Attribute => "function",
            SymbolKind::Struct
            | SymbolKind::Enum
            | SymbolKind::Union
            | SymbolKind::Trait
            | SymbolKind::TypeAlias
            | SymbolKind::TypeParam => "class",
            SymbolKind::Module | SymbolKind::CrateRoot => "module",
            _ => "instance",
        },
        CompletionItemKind::Keyword => "keyword",
        CompletionItemKind::BuiltinType => "class",
        _ => "instance",
    }
}

fn absolute(path: &Path) -> io::Result<AbsPathBuf> {
    let text = path.to_str().ok_or_else(|| io::Error::other("a path is not UTF-8"))?;
    AbsPathBuf::try_from(text).map_err(|path| io::Error::other(format!("{path} is not absolute")))
}
