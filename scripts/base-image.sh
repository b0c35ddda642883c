#!/usr/bin/env bash
# Makes the root file system of an image out of Debian packages, for where no registry is reachable:
# `scripts/base-image.sh cc|git|tools DIR` prints the tarball's path. Beside it stands its package list, in
# CycloneDX. Needs no root: apt resolves against an empty system, and archives are only unpacked.
#   cc    the C library and CA certificates: no shell, nothing to run
#   git   those, git, ssh, and the shell through which git calls ssh
#   tools a shell with the usual programs, curl, and git with its server side
# The packages are those of this machine's release, so that its C library is the one that a binary
# built here was linked with. Cached by content: the versions of the packages, and this script.
set -euo pipefail
kind=$1
cache=$2
field() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\).*/\1/p" /etc/os-release; }
distribution=$(field ID)
suite=$(field VERSION_CODENAME)
architecture=$(dpkg --print-architecture)

common=(libc6 libgcc-s1 ca-certificates)
case $kind in
  cc) wanted=("${common[@]}") ;;
  git) wanted=("${common[@]}" git openssh-client dash) ;;
  tools) wanted=("${common[@]}" git curl dash coreutils sed grep) ;;
  *) echo "usage: base-image.sh cc|git|tools DIR" >&2 && exit 64 ;;
esac

# Nothing here runs maintainer scripts, manages packages or users, or calls git's Perl parts.
without='^(perl.*|libperl.*|liberror-perl|debconf|dpkg|tar|adduser|passwd|openssl|debianutils|git-man|libgdbm.*|libdb5.*|libpam.*|libaudit.*|libcap-ng0|libsemanage.*|libsepol.*|libbz2-1.0|libmd4c0)$'
[ "$kind" = tools ] || without="$without|^libacl1\$"
[ "$kind" != cc ] || without="$without|^(libssl3.*|libcrypt1|zlib1g|libzstd1)\$"

# name=version of everything that the wanted packages depend on, on a system with nothing installed.
resolve() {
  apt-get install --simulate --no-install-recommends -o Dir::State::status=/dev/null "${wanted[@]}" |
    sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p' | sort | while IFS= read -r package; do
    [[ ${package%%=*} =~ $without ]] || echo "$package"
  done
}
refresh() {
  [ "$(id -u)" = 0 ] || { echo "the package lists are missing or old; bring them up to date: sudo apt-get update" >&2 && exit 1; }
  apt-get update >&2
}

packages=$(resolve 2>/dev/null || true)
[ -n "$packages" ] || { refresh && packages=$(resolve); }
key=$({ echo "$packages" && cat "$0"; } | sha256sum | cut -c1-12)
base=$cache/base-$kind-$key
if [ -e "$base.tar" ]; then
  echo "$base.tar"
  exit 0
fi
echo "making the base '$kind' from $(wc -l <<<"$packages") packages of $distribution $suite" >&2

mkdir -p "$cache"
work=$(mktemp -d "$cache/base.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/archives" "$work/root"
download() { (cd "$work/archives" && xargs apt-get download -qq <<<"$packages") 2>"$work/log"; }
# A version that a security update has replaced is no longer there to download.
download || { refresh && packages=$(resolve) && download; } || { cat "$work/log" >&2 && exit 1; }

root=$work/root
cd "$root"
mkdir -p usr/bin usr/sbin usr/lib usr/lib64 etc/ssl/certs var/lib/dpkg/status.d usr/share/sbom tmp
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
leave_out=(
  ./usr/lib/*/gconv ./usr/lib/*/perl* ./usr/share/perl* './usr/lib/*/audit' ./usr/lib/locale './usr/lib/*/ossl-modules' './usr/lib/*/engines-*'
  ./usr/share/{bash-completion,bug,git-core,gitweb,info,lintian,locale,man,menu} ./etc/{bash_completion.d,cron*,default,init.d,logrotate.d,systemd}
  ./usr/lib/systemd ./lib/systemd ./usr/lib/git-core/mergetools ./var/log ./var/cache
)
for archive in "$work"/archives/*.deb; do
  # Documentation stays away, licences stay.
  dpkg-deb --fsys-tarfile "$archive" | tar -x --keep-directory-symlink --no-same-owner \
    "${leave_out[@]/#/--exclude=}" --exclude='./usr/share/doc/*/[!c]*' --exclude='./usr/share/doc/*/c[!o]*' --exclude='./usr/share/doc/*/contrib'
  name=$(dpkg-deb --field "$archive" Package)
  { dpkg-deb --field "$archive" Package Source Version Architecture Maintainer && echo "Status: install ok installed"; } >"var/lib/dpkg/status.d/$name"
done

cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
rm -rf usr/share/ca-certificates usr/sbin/* etc/ca-certificates*
keep_programs=()
[ "$kind" != git ] || keep_programs=(git ssh sh dash)
for program in usr/bin/*; do
  [ "$kind" != tools ] || break
  [[ " ${keep_programs[*]} " == *" $(basename "$program") "* ]] || rm -f "$program"
done
if [ "$kind" != cc ]; then
  # Of git's programs, one is all of them, and two speak HTTP, as client and as server.
  find usr/lib/git-core -mindepth 1 ! -name git ! -name 'git-remote-http*' ! -name git-http-backend -delete
  [ "$kind" = tools ] || rm usr/lib/git-core/git-http-backend
  ln -sf ../../bin/git usr/lib/git-core/git
  mkdir -p usr/share/git-core/templates
  rm -rf usr/lib/openssh
fi
cp /etc/os-release etc/os-release
echo 'hosts: files dns' >etc/nsswitch.conf
printf '%s\n' 'root:x:0:0:root:/nonexistent:/sbin/nologin' 'nonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin' >etc/passwd
printf '%s\n' 'root:x:0:' 'nonroot:x:65532:' >etc/group
chmod -R u=rwX,go=rX . && chmod 1777 tmp

while IFS='=' read -r name version; do
  jq -n --arg name "$name" --arg version "$version" --arg architecture "$architecture" --arg suite "$suite" --arg distribution "$distribution" '
    {type: "library", name: $name, version: $version,
     purl: "pkg:deb/\($distribution)/\($name | @uri)@\($version | @uri)?arch=\($architecture)&distro=\($suite)"}'
done <<<"$packages" | jq -s --arg name "stowage-base-$kind" --arg version "$key" '
  {bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
   metadata: {component: {type: "operating-system", name: $name, version: $version}}, components: .}' >usr/share/sbom/base.cdx.json
# The one before has served.
rm -f "$cache/base-$kind-"*
cp usr/share/sbom/base.cdx.json "$base.cdx.json"

# The same packages make the same bytes.
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$work/base.tar" .
mv "$work/base.tar" "$base.tar"
echo "$base.tar"
