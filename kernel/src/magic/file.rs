//! Files that magics write: where, and what they do not replace.

use super::engine::Engine;
use super::magic_error::MagicError;
use super::words::Word;
use machine_protocol::command::{Command, Reply};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// How many bytes at the beginning of a file say what it is.
const HEAD: u64 = 512;

/// A place where a magic may write.
#[derive(Debug)]
pub struct Location {
    /// Absolute.
    pub path: PathBuf,
    word: Option<Word>,
}

impl Location {
    /// The file of this name, in the directory that cells have as theirs. `is_ours` says whether a file that begins so is
    /// one that the magic writes: only such a file is replaced.
    ///
    /// # Errors
    /// If another file is there, or what is no file.
    pub fn find(
        name: &Path,
        word: Option<&Word>,
        engine: &dyn Engine,
        is_ours: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, MagicError> {
        let path = match engine.command(Command::Directory) {
            Ok(Reply::Directory(directory)) => Path::new(&directory).join(name),
            _ => name.to_owned(),
        };
        let place = Self { path: path.clone(), word: word.cloned() };
        let path = std::path::absolute(path).map_err(|error| place.failed(&error))?;
        let place = Self { path, ..place };
        // Looked at before it is opened: opening a pipe waits for the other end.
        match fs::metadata(&place.path) {
            Ok(found) if !found.is_file() => Err(place.refused("it is not a regular file; choose another name")),
            Ok(_) => {
                let mut head = Vec::new();
                let read = File::open(&place.path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
                if read.is_ok() && (head.is_empty() || is_ours(&head)) {
                    return Ok(place);
                }
                Err(place
                    .refused("another file is there, which would be lost; remove it first, or choose another name"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(place),
            Err(error) => Err(place.failed(&error)),
        }
    }

    /// Writes it. A reader sees the old file or the new one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), MagicError> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let draft = self.path.with_file_name(name);
        // What is left of an earlier one.
        let _ = fs::remove_file(&draft);
        let written = || -> io::Result<()> {
            let mut to = BufWriter::new(File::create_new(&draft)?);
            write(&mut to)?;
            to.flush()?;
            fs::rename(&draft, &self.path)
        };
        written().map_err(|error| {
            let _ = fs::remove_file(&draft);
            self.failed(&error)
        })
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> MagicError {
        self.refused(&error.to_string())
    }

    fn refused(&self, why: &str) -> MagicError {
        let message = format!("cannot write {}: {why}", crate::display::one_line(&self.path.display().to_string()));
        MagicError::usage(message, self.word.as_ref().map(|word| word.span.clone()))
    }
}
