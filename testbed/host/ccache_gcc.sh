#!/bin/sh
# gcc by way of ccache, but for a source that takes in another file by .incbin: in depend mode ccache
# (4.7) does not notice when that file changes, and would hand out the object of another kernel.
# Kbuild's last word is the source.
for source; do :; done
case $source in
*.[cS]) grep -qs incbin "$source" && exec gcc "$@" ;;
esac
exec ccache gcc "$@"
