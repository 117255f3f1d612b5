//! Tests of `archive`.

use super::samples::tar_of;
use super::*;

fn write(dir: &Path, bytes: &[u8]) -> Archive {
    fs::write(dir.join("x.tar"), bytes).unwrap();
    Archive::at(&dir.join("x.tar")).unwrap()
}

fn images(archive: Archive, entries: impl IntoIterator<Item = Entry>) -> ArchiveImages {
    let member = |entry: Entry| {
        let Entry { name, offset, bytes, .. } = entry;
        ArchiveMember { name: name.into(), archive: 0, label: 0, offset, bytes }
    };
    ArchiveImages { archives: vec![archive], members: entries.into_iter().map(member).collect() }
}

#[test]
fn files_are_read_where_they_lie_also_in_an_archive_in_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/z", "long/".repeat(40));
    let inner = tar_of(&[("one", b"1"), (&long, b"22")]);
    let archive = write(dir.path(), &tar_of(&[("first", b"abc"), ("inner.tar", &inner)]));
    let entries = archive.entries_with(|name| name == Path::new("first")).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.name.to_str().unwrap()).collect::<Vec<_>>(), ["first", "inner.tar"]);
    assert_eq!((entries[0].content.as_deref(), entries[1].content.as_deref()), (Some(b"abc".as_slice()), None));
    let nested = archive.entries_of(&entries[1]).unwrap();
    assert_eq!(nested[1].name, Path::new(&long));
    let images = images(archive, [entries[0].clone()].into_iter().chain(nested));
    let contents: Vec<_> = (0..3).map(|i| images.read(i).unwrap()).collect();
    assert_eq!(contents, [&b"abc"[..], b"1", b"22"].map(|bytes| bytes.to_vec().into()));
    assert!(images.path(0).ends_with("x.tar/first"));
}

#[test]
fn links_to_files_before_them_are_files_and_sparse_files_errors() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    builder.append_data(&mut header, "first", b"abc".as_slice()).unwrap();
    builder.append_data(&mut header, "._first", b"mac".as_slice()).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    builder.append_link(&mut header, "second", "first").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let archive = write(dir.path(), &builder.into_inner().unwrap());
    let images = images(archive.clone(), archive.entries().unwrap());
    assert_eq!((images.len(), images.read(1).unwrap()), (2, b"abc".to_vec().into()));
    assert!(images.path(1).ends_with("x.tar/second"));
    let sparse = write(dir.path(), &tar_of(&[("GNUSparseFile.0/b.jpg", b"1")]));
    let error = sparse.entries().unwrap_err().to_string();
    assert!(error.contains("b.jpg is not a regular file: write the archive without"), "{error}");
}

/// A tar file of `files`, followed by hard links (name, target).
fn tar_with_links(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    for (name, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn links_are_to_the_last_file_of_a_name_which_may_be_hidden_or_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 3] = [("a", b"old"), ("a", b"new"), (".hidden", b"h")];
    let links = [("b", "a"), ("c", "b"), ("d", ".hidden"), (".litter", "nowhere")];
    let archive = write(dir.path(), &tar_with_links(&files, &links));
    let images = images(archive.clone(), archive.entries().unwrap());
    let name = |i: usize| images.members[i].name.to_str().unwrap();
    let found: Vec<_> = (0..images.len()).map(|i| (name(i), images.read(i).unwrap())).collect();
    let expected: [(&str, &[u8]); 5] = [("a", b"old"), ("a", b"new"), ("b", b"new"), ("c", b"new"), ("d", b"h")];
    assert_eq!(found, expected.map(|(name, bytes)| (name, bytes.to_vec().into())));
}

#[test]
fn a_link_to_nothing_before_it_is_an_error_with_both_names() {
    let dir = tempfile::tempdir().unwrap();
    for target in ["nowhere", "later"] {
        let archive = tar_with_links(&[("a", b"1")], &[("link", target), ("later", "a")]);
        let error = write(dir.path(), &archive).entries().unwrap_err().to_string();
        let expected = format!("hard link link: {target} is not an earlier file; write the archive with");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn directories_and_symbolic_links_are_passed_over() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "link", "first").unwrap();
    header.set_entry_type(tar::EntryType::Directory);
    builder.append_data(&mut header, "directory", io::empty()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(write(dir.path(), &builder.into_inner().unwrap()).entries().unwrap(), []);
}

#[test]
fn a_cut_archive_is_an_error_wherever_it_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tar_of(&[("first", &[7; 700]), ("second", &[8; 300])]);
    // With both files complete, only the end marker is missing.
    let (end_of_first, end_of_second) = (512 + 700, 512 + 1024 + 512 + 300);
    for length in 1..end_of_second {
        let archive = write(dir.path(), &whole[..length]);
        let result = archive.entries();
        // Cut between two files, an archive looks complete: tar stores no file count.
        let is_between = (end_of_first..=512 + 1024).contains(&length);
        assert_eq!(result.is_ok(), is_between, "{length} bytes: {result:?}");
    }
    let noise: Vec<u8> = (0..2048u32).map(|i| (i * 37 % 251) as u8).collect();
    let error = write(dir.path(), &noise).entries().unwrap_err().to_string();
    assert!(error.contains("x.tar: cannot be listed: "), "{error}");
}

#[test]
fn an_archive_that_changed_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let archive = write(dir.path(), &tar_of(&[("first", b"abc")]));
    let images = images(archive.clone(), archive.entries().unwrap());
    fs::write(dir.path().join("x.tar"), tar_of(&[("first", b"abcd"), ("second", b"")])).unwrap();
    assert_eq!(images.read(0), Err(ImageProblem::ArchiveChanged));
    fs::remove_file(dir.path().join("x.tar")).unwrap();
    assert!(matches!(images.read(0), Err(ImageProblem::Unreadable(_))));
    assert!(Archive::at(dir.path()).unwrap_err().to_string().contains("cannot read"));
}
