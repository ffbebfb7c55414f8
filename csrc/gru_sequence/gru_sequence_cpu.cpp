namespace svebm {}
