#!/bin/sh
# gcc by way of ccache, but for two kinds of source. Kbuild's last word is the source.
# - One that takes in another file by .incbin: in depend mode ccache (4.7) does not notice when that
#   file changes, and would hand out the object of another kernel.
# - The symbol tables of a link (.tmp_vmlinux*.S): large, and never the same twice.
for source; do :; done
case $source in
.tmp_*|*/.tmp_*) exec gcc "$@" ;;
*.[cS]) grep -qs incbin "$source" && exec gcc "$@" ;;
esac
exec ccache gcc "$@"
